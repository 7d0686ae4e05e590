"""A decoder language model of any Hugging Face family with a different soft prompt in every row."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
import transformers
from torch import Tensor

from clinprompt.backbones import rectangle
from clinprompt.backbones.attention import routed
from clinprompt.backbones.decoding import Decoding, Line
from clinprompt.backbones.frozen_layers import lighten
from clinprompt.backbones.last_layer import last_layer, only_at
from clinprompt.backbones.layer_prompts import at_layers, check_uncompiled, layer_inputs, prompted
from clinprompt.backbones.note_cache import NoteCache
from clinprompt.backbones.pack import Pack, Segment
from clinprompt.backbones.protocol import Output, Placement, PromptVectors, Row
from clinprompt.backbones.recompute import recompute_layers
from clinprompt.backbones.row_segments import lay_rows
from clinprompt.backbones.state_store import MEMORY, StateStore
from clinprompt.backbones.tokenizing import TokenizerBackbone, context_length

TOKENS_AT_ONCE = (2048, 8192)
"""Tokens run at once in training by a processor (as many as its caches hold) and by an accelerator (as fill it)."""


class CausalBackbone(TokenizerBackbone):
    """A frozen causal language model with its tokenizer.

    The stock transformers model, over rows that lie one behind the other in one sequence, with an attention that knows
    which tokens see which: right for every family whose attention can be replaced. ``packed`` off runs rows padded
    instead, as a reference and for networks with an attention of their own. ``autocast`` runs the network's products
    in that dtype; prompts, logits and losses stay float32. ``recompute`` keeps one state per layer and computes the
    rest again on the way back: less memory, a third more work. ``compiled`` lets torch compile the layers. States of
    notes are kept in ``note_memory`` bytes and in ``note_folder``. ``extra_ends`` are tokens that end an answer besides
    the tokenizer's own, ``weights`` names what the frozen layers are kept in.
    """

    def __init__(
        self,
        model: Any,
        tokenizer: Any,
        *,
        fingerprint: str,
        tokenizer_fingerprint: str,
        template: str,
        name: str,
        autocast: torch.dtype | None = None,
        packed: bool = True,
        recompute: bool = False,
        compiled: bool = False,
        note_memory: int = MEMORY,
        note_folder: Path | None = None,
        extra_ends: frozenset[int] = frozenset(),
        weights: str = "full",
    ) -> None:
        config = model.config.get_text_config()
        super().__init__(
            tokenizer,
            name=name,
            fingerprint=fingerprint,
            tokenizer_fingerprint=tokenizer_fingerprint,
            template=template,
            max_tokens=context_length(config),
            extra_ends=extra_ends,
        )
        self.model, self.weights = model, weights
        self.autocast, self.packed = autocast, packed
        self.decoder, self.head = model.get_decoder(), model.get_output_embeddings()
        self.last_layer = last_layer(self.decoder)
        self.hidden_size, self.n_layers = config.hidden_size, config.num_hidden_layers
        self.vocabulary = self.embeddings.shape[0]
        self.pad = tokenizer.pad_token_id if tokenizer.pad_token_id is not None else (self.eos or 0)
        self.recompute = recompute
        self.note_memory, self.note_folder = note_memory, note_folder
        self.altered = False
        self.freeze()
        lighten(model)
        if compiled:
            for layer in self.decoder.layers:
                layer.compile(dynamic=True)

    @property
    def embeddings(self) -> Tensor:
        """The input embedding table ``[V, H]``."""
        return self.model.get_input_embeddings().weight

    @property
    def device(self) -> torch.device:
        """Where the embedding table lives and batches are sent."""
        return self.embeddings.device

    @property
    def computing(self) -> dict[str, str]:
        """What runs the network, and in which numbers."""
        return {"engine": "local", "dtype": str(self.embeddings.dtype).removeprefix("torch.")}

    def freeze(self) -> None:
        """Take every weight out of training and turn dropout off."""
        self.model.eval()
        self.model.requires_grad_(False)
        if self.recompute:
            recompute_layers(self.model, self.decoder.layers)

    @property
    def tokens_at_once(self) -> int:
        """How many tokens to run at once in training."""
        return TOKENS_AT_ONCE[self.device.type != "cpu"]

    @property
    def identity(self) -> str:
        """What the states of a token run depend on besides its tokens."""
        versions = f"torch {torch.__version__}, transformers {transformers.__version__}"
        numbers = f"{self.embeddings.dtype}, weights {self.weights}, {self.autocast}"
        return f"{self.fingerprint}, {numbers}, {self.device.type}, {versions}"

    def state_store(self) -> StateStore:
        """A store for keys and values; weights that are not the backbone's own keep out of the folder."""
        return StateStore(budget=self.note_memory, folder=None if self.altered else self.note_folder)

    def note_cache(self, store: StateStore | None = None, *, together: bool = False) -> NoteCache | None:
        """A cache of contexts, run one by one or ``together``; ``None`` where it would be wrong, when weights train."""
        if not self.packed or any(weight.requires_grad for weight in self.model.parameters()):
            return None
        return NoteCache(self.states, identity=self.identity, store=store or self.state_store(), together=together)

    def forward(
        self,
        rows: Sequence[Row],
        prompts: PromptVectors | None,
        *,
        hidden_layers: Sequence[int] = (),
        notes: NoteCache | None = None,
    ) -> Output:
        """Logits at the answer positions of a batch, and hidden states of the layers asked for.

        Layers count from 0 (the embeddings) to L; negative numbers count from the end. Positions are gathered
        before the output head, so no ``[B, T, V]`` tensor exists. All rows lie in one flat sequence without padding,
        a prompt before its rows only once. With ``notes`` and suffix prompts the contexts are taken from the cache
        and only prompt and answer are run: the same numbers for less work.
        """
        if not self.packed:
            return rectangle.forward(self, rows, prompts, hidden_layers=hidden_layers)
        pasts = None
        if notes is not None and (prompts is None or prompts.placement is Placement.suffix):
            pasts = notes.states([self.start + notes.part(row) for row in rows])
        laid = lay_rows(rows, prompts, bos=self.bos, pad=self.pad, pasts=pasts)
        pack = Pack(laid.segments, device=self.device)
        row_of, places, targets = (
            torch.tensor(column, device=self.device) for column in laid.answers(rows, pack.starts)
        )
        with only_at(self.last_layer, places):
            result = self._run(pack, prompts, hidden=bool(hidden_layers))
        last = result.last_hidden_state[0]
        if self.last_layer is None:
            last = last.index_select(0, places)
        hidden = [
            last if layer in (-1, self.n_layers) else result.hidden_states[layer][0].index_select(0, places)
            for layer in hidden_layers
        ]
        return self.output(last, hidden, targets=targets, row=row_of)

    def output(self, last: Tensor, hidden: Sequence[Tensor], *, targets: Tensor, row: Tensor) -> Output:
        """Head and record for the states ``[A, H]`` at answer positions."""
        joined = _at_least_float32(torch.cat(list(hidden), dim=-1)) if hidden else None
        return Output(logits=self.logits(last), targets=targets, row=row, hidden=joined)

    def prompted(
        self, ids: Tensor, prompts: PromptVectors | None, index: Tensor, places: tuple[Tensor, ...]
    ) -> tuple[Tensor, contextlib.AbstractContextManager[None]]:
        """Input vectors ``[B, T, H]`` with prompts at ``places``, and a ``with`` that puts those of layers above in.

        ``index`` ``[K]`` says which of the ``M * P`` vectors stands at each place.
        """
        embeds = self.model.get_input_embeddings()(ids)
        if prompts is None:
            return embeds, contextlib.nullcontext()
        chosen = at_layers(prompts.vectors.to(self.device), index)
        return embeds.index_put(places, chosen[0].to(embeds.dtype)), prompted(self.decoder.layers, chosen, places)

    @torch.no_grad()
    def layer_inputs(self, vectors: Tensor) -> Tensor:
        """What each layer takes in when the network runs on BOS and vectors ``[N, P, H]``: theirs ``[N, L, P, H]``."""
        check_uncompiled(self.decoder.layers)
        begin = self.model.get_input_embeddings()(torch.tensor(self.start, dtype=torch.long, device=self.device))
        with self.precision():
            return layer_inputs(self.decoder, vectors, behind=begin)

    def _run(self, pack: Pack, prompts: PromptVectors | None, *, hidden: bool = False) -> Any:
        """The decoder over a pack."""
        places = (torch.zeros_like(pack.slot), pack.slot)
        embeds, above = self.prompted(pack.ids[None], prompts, pack.slot_vector, places)
        with self.precision(), routed(self.model), above:
            return self.decoder(
                inputs_embeds=embeds,
                position_ids=pack.positions[None],
                use_cache=False,
                output_hidden_states=hidden,
                layout=pack,
            )

    @torch.no_grad()
    def states(self, contexts: Sequence[tuple[int, ...]], *, tokens: int = 8192) -> list[Tensor]:
        """Keys and values ``[L, 2, heads, S, D]`` of token runs, in packs of at most ``tokens`` tokens."""
        found: list[Tensor] = []
        while len(found) < len(contexts):
            part, size = [contexts[len(found)]], len(contexts[len(found)])
            for context in contexts[len(found) + 1 :]:
                size += len(context)
                if size > tokens:
                    break
                part.append(context)
            found += self._states(Pack([Segment(context) for context in part], keep=True, device=self.device), None)
        return found

    @torch.no_grad()
    def further(self, tokens: Sequence[int], past: Tensor | None) -> Tensor:
        """The states ``[L, 2, heads, S, D]`` of what was run before and of tokens behind it: a note bit by bit."""
        first = 0 if past is None else past.shape[3]
        [own] = self._states(Pack([Segment(tokens, first=first, past=past)], keep=True, device=self.device), None)
        return own if past is None else torch.cat([past.to(own.device), own], dim=3)

    @torch.no_grad()
    def prompt_states(self, prompts: PromptVectors) -> list[Tensor]:
        """Keys and values ``[L, 2, heads, S, D]`` of what each prompt puts before everything."""
        P = prompts.vectors.shape[-2]
        befores = [prompts.placement.split(prompts.length(m))[0] for m in range(len(prompts.vectors))]
        segments = [
            Segment([self.pad] * before, slots=[(j, m * P + j) for j in range(before)])
            for m, before in enumerate(befores)
        ]
        return self._states(Pack(segments, keep=True, device=self.device), prompts)

    def _states(self, pack: Pack, prompts: PromptVectors | None) -> list[Tensor]:
        with only_at(self.last_layer, pack.positions.new_zeros(1)):  # no state is read, only keys and values
            self._run(pack, prompts)
        return [pack.states(i) for i in range(len(pack.segments))]

    @torch.no_grad()
    def begin(
        self, rows: Sequence[Row], prompts: PromptVectors | None, trunks: Sequence[Tensor]
    ) -> tuple[Tensor, list[Line]]:
        """Logits ``[B, V]`` of each answer's first token, and the lines that go on from there.

        ``trunks`` are the states of what each row begins with and shares with others: a prompt that stands before it
        (:meth:`prompt_states`), or else its context with BOS (:meth:`states`); or of both.
        """
        laid = lay_rows(rows, prompts, bos=self.bos, pad=self.pad, pasts=trunks, with_answers=False)
        pack = Pack(laid.segments, keep=True, device=self.device)
        places = torch.tensor([pack.starts[i + 1] - 1 for i in laid.last], device=self.device)
        with only_at(self.last_layer, places):
            last = self._run(pack, prompts).last_hidden_state[0]
        if self.last_layer is None:
            last = last.index_select(0, places)
        lines = [Line(trunk, pack.states(i)) for trunk, i in zip(trunks, laid.last, strict=True)]
        return self.logits(last), lines

    @torch.no_grad()
    def step(self, decoding: Decoding, tokens: Tensor) -> Tensor:
        """Logits ``[B, V]`` after one more token ``[B]`` on each line."""
        decoding.prepare()
        # Calls are most of the time of a small network, and are shorter in this mode; nothing made in it is kept.
        with torch.inference_mode(), self.precision(), routed(self.model):
            result = self.decoder(
                inputs_embeds=self.model.get_input_embeddings()(tokens)[None],
                position_ids=decoding.positions[None],
                use_cache=False,
                layout=decoding,
            )
        logits = self.logits(result.last_hidden_state[0])
        decoding.advance()  # last of all: a step that fails can be run again
        return logits

    def logits(self, last: Tensor) -> Tensor:
        """The head over states ``[A, H]``."""
        with self.precision():
            return _at_least_float32(self.head(last))

    def precision(self) -> contextlib.AbstractContextManager[Any]:
        """What the network's products run in, for a ``with``."""
        if self.autocast is None:
            return contextlib.nullcontext()
        return torch.autocast(self.device.type, self.autocast)


def _at_least_float32(values: Tensor) -> Tensor:
    """Losses are never computed in half precision; a float64 backbone (tests) keeps its own."""
    return values.to(torch.promote_types(values.dtype, torch.float32))
