"""An encoder network of any Hugging Face family with soft prompts among what its layers take in."""

from __future__ import annotations

import contextlib
import inspect
from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any

import torch
import transformers
from torch import Tensor, nn

from clinprompt.backbones import apart
from clinprompt.backbones.encoder_batch import EncoderBatch, collate_questions
from clinprompt.backbones.layer_prompts import inputs_changed, layer_inputs, layers_of
from clinprompt.backbones.note_cache import NoteCache
from clinprompt.backbones.protocol import PromptVectors, ReadingRow
from clinprompt.backbones.question_row import PairLayout
from clinprompt.backbones.state_store import MEMORY, StateStore

TOKENS_AT_ONCE = (512, 16384)
"""Tokens run at once by a processor (as many as its caches hold) and by an accelerator (as fill it).

Measured on a processor: 512 take 16 % less time than 2,048, and 256 no less.
"""


class EncoderNetwork:
    """The stock transformers model over rows padded on the right, with its tokenizer.

    Special tokens, token types and positions are what the tokenizer and the network say of themselves. ``autocast``
    runs the network's products in that dtype; texts that are read apart are kept in ``note_memory`` bytes.
    """

    def __init__(
        self,
        model: Any,
        tokenizer: Any,
        *,
        fingerprint: str,
        tokenizer_fingerprint: str,
        name: str,
        autocast: torch.dtype | None = None,
        note_memory: int = MEMORY,
    ) -> None:
        self.model, self.tokenizer, self.name = model, tokenizer, name
        self.fingerprint, self.tokenizer_fingerprint = fingerprint, tokenizer_fingerprint
        self.template = "reading"
        self.autocast, self.note_memory = autocast, note_memory
        self.hidden_size, self.n_layers = model.config.hidden_size, model.config.num_hidden_layers
        self.layers = layers_of(model)
        self.layout = PairLayout.of(tokenizer)
        self.max_tokens = _most_positions(model)
        self.pad = tokenizer.pad_token_id or 0
        kinds = getattr(model.config, "type_vocab_size", 0) or 0
        self.has_types = kinds > 1 and "token_type_ids" in inspect.signature(model.forward).parameters
        self.altered = False
        self.freeze()

    @property
    def embeddings(self) -> Tensor:
        """The input embedding table ``[V, H]``."""
        return self.model.get_input_embeddings().weight

    @property
    def device(self) -> torch.device:
        """Where the embedding table lives and batches are sent."""
        return self.embeddings.device

    @property
    def tokens_at_once(self) -> int:
        """How many tokens to run at once."""
        return TOKENS_AT_ONCE[self.device.type != "cpu"]

    def freeze(self) -> None:
        """Take every weight out of training and turn dropout off."""
        self.model.eval()
        self.model.requires_grad_(False)

    @cached_property
    def tupled(self) -> bool:
        """Whether its layers give tuples."""
        return apart.gives_tuples(self)

    @property
    def identity(self) -> str:
        """What the states of a text that is read apart depend on besides its tokens."""
        versions = f"torch {torch.__version__}, transformers {transformers.__version__}"
        return f"{self.fingerprint}, {self.embeddings.dtype}, {self.autocast}, {self.device.type}, {versions}"

    def note_cache(self, *, together: bool = False) -> NoteCache | None:
        """A cache of texts for prompts placed ``apart``, run one by one or ``together``; ``None`` when weights train.

        With other placements every token sees the prompt, so that no text can be read once for all prompts.
        """
        if any(weight.requires_grad for weight in self.model.parameters()):
            return None
        border = apart.layers_apart(self.n_layers)
        return NoteCache(
            lambda texts: apart.text_states(self, texts, at=border),
            identity=self.identity,
            store=StateStore(budget=self.note_memory),
            together=together,
        )

    @torch.no_grad()
    def layer_inputs(self, vectors: Tensor) -> Tensor:
        """What each layer takes in when the network runs on vectors ``[N, P, H]`` alone: ``[N, L, P, H]``, float32."""
        with self.precision():
            return layer_inputs(self.model, vectors, behind=self.embeddings[:0])

    def batch(self, rows: Sequence[ReadingRow], prompts: PromptVectors) -> EncoderBatch:
        """Rows and the places of their prompts as one rectangle."""
        return collate_questions(rows, prompts, lead=len(self.layout.before), pad=self.pad, device=self.device)

    def laid(self, batch: EncoderBatch, prompts: PromptVectors) -> tuple[Tensor, Callable[[int, Tensor], Tensor]]:
        """Input vectors ``[B, T, H]`` of a batch, and what puts prompts per layer into what a layer takes in."""
        embeds = self.model.get_input_embeddings()(batch.ids)
        if prompts.vectors.ndim == 3:
            return batch.placed(embeds, prompts.vectors), lambda layer, states: states
        if prompts.vectors.shape[1] != self.n_layers:
            raise ValueError(f"prompts for {prompts.vectors.shape[1]} layers on a network of {self.n_layers}")
        return embeds, lambda layer, states: batch.placed(states, prompts.vectors[:, layer])

    def run(
        self, batch: EncoderBatch, embeds: Tensor, change: Callable[[int, Tensor], Tensor], *, hidden: bool = False
    ) -> Any:
        """The stock network on input vectors, layer l on ``change(l, states)``."""
        types = {"token_type_ids": batch.types} if self.has_types else {}
        with self.precision(), inputs_changed(self.layers, change):
            return self.model(inputs_embeds=embeds, attention_mask=batch.mask, output_hidden_states=hidden, **types)

    def precision(self) -> contextlib.AbstractContextManager[Any]:
        """What the network's products run in, for a ``with``."""
        if self.autocast is None:
            return contextlib.nullcontext()
        return torch.autocast(self.device.type, self.autocast)


def _most_positions(model: Any) -> int:
    """How many tokens a row may have: RoBERTa's positions begin behind that of padding."""
    table = getattr(getattr(model, "embeddings", None), "position_embeddings", None)
    if isinstance(table, nn.Embedding) and table.padding_idx is not None:
        return table.num_embeddings - table.padding_idx - 1
    return int(getattr(model.config, "max_position_embeddings", 0) or 2**31)
