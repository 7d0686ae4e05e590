"""A decoder language model of any Hugging Face family with a different soft prompt in every row."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import fields, replace
from typing import Any, TypeVar

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence
from transformers import DynamicCache

from clinprompt.backbones.causal_batch import CausalBatch, collate, place
from clinprompt.backbones.note_cache import NoteCache, Tail, as_cache, as_states, collate_tails
from clinprompt.backbones.protocol import Limits, Output, Placement, PromptVectors, RawAnswer, Row
from clinprompt.errors import InputError
from clinprompt.schema.formulated import Piece, TextPair

Laid = TypeVar("Laid", CausalBatch, Tail)


class CausalBackbone:
    """A frozen causal language model with its tokenizer.

    The general path: the stock transformers model through ``inputs_embeds``, masks, positions and its own cache,
    right for every family. ``autocast`` runs the network's products in that dtype; prompts, logits and losses
    stay float32.
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
    ) -> None:
        self.model, self.tokenizer, self.name = model, tokenizer, name
        self.fingerprint, self.tokenizer_fingerprint = fingerprint, tokenizer_fingerprint
        self.template = template
        self.autocast = autocast
        self.decoder, self.head = model.get_decoder(), model.get_output_embeddings()
        config = model.config.get_text_config()
        self.hidden_size, self.n_layers = config.hidden_size, config.num_hidden_layers
        self.vocabulary = self.embeddings.shape[0]
        self.max_tokens = int(getattr(config, "max_position_embeddings", 0) or 2**31)
        self.bos, self.eos = tokenizer.bos_token_id, tokenizer.eos_token_id
        self.pad = tokenizer.pad_token_id if tokenizer.pad_token_id is not None else (self.eos or 0)
        self.freeze()

    @property
    def embeddings(self) -> Tensor:
        """The input embedding table ``[V, H]``."""
        return self.model.get_input_embeddings().weight

    @property
    def embedding_rms(self) -> float:
        """Root mean square of the embedding table: the unit in which prompt learning rates are given."""
        return float(self.embeddings.detach().float().square().mean().sqrt())

    @property
    def device(self) -> torch.device:
        """Where the embedding table lives and batches are sent."""
        return self.embeddings.device

    def freeze(self) -> None:
        """Take every weight out of training and turn dropout off."""
        self.model.eval()
        self.model.requires_grad_(False)

    def tokens(self, piece: Piece) -> list[int]:
        """Token ids of one piece; special tokens are recognised only in trusted pieces."""
        return self.tokenizer.encode(
            piece.text,
            add_special_tokens=False,
            split_special_tokens=not piece.trusted,
            verbose=False,  # rows that are too long are refused in `encode`, in our words
        )

    def encode(self, pair: TextPair, *, name: str, reserve: int = 0) -> Row:
        """Token ids of a text pair.

        ``reserve`` is the room to keep for prompt vectors and generated tokens. Raises :class:`InputError` when the
        row does not fit the backbone's context; nothing is ever cut off.
        """
        row = Row(
            name=name,
            context=tuple(token for piece in pair.context for token in self.tokens(piece)),
            cue=tuple(token for piece in pair.cue for token in self.tokens(piece)),
            answer=(*self.tokens(Piece(pair.answer)), self.eos),
        )
        needed = row.length + reserve + 1
        if needed > self.max_tokens:
            raise InputError(
                f"the input needs {needed} tokens with its prompt and answer, more than the backbone's context",
                where=f"example {name}",
                allowed=f"at most {self.max_tokens} tokens for backbone {self.name}",
                fix="read long notes in smaller windows (`--window`, or `data.window` in the task file), or use a "
                "backbone with a longer context",
            )
        return row

    def note_cache(self) -> NoteCache | None:
        """A cache for one training run with suffix prompts; ``None`` where only the plain path is right: when weights
        train, and for families whose layers do not all see the whole input (sliding windows).
        """
        if any(weight.requires_grad for weight in self.model.parameters()):
            return None
        config = self.model.config.get_text_config()
        kinds = set(getattr(config, "layer_types", None) or ["full_attention"])
        windowed = getattr(config, "sliding_window", None) and not hasattr(config, "layer_types")
        return None if windowed or kinds != {"full_attention"} else NoteCache(self._prefill)

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
        before the output head, so no ``[B, T, V]`` tensor exists. With ``notes`` and suffix prompts the contexts
        are taken from the cache and only prompt and answer are run: the same numbers for less work.
        """
        if notes is not None and prompts is not None and prompts.placement is Placement.suffix:
            batch, inputs = self._tails(rows, prompts, notes)
        else:
            batch = self._collate(rows, prompts, with_answers=True)
            inputs = {"inputs_embeds": self._embed(batch, prompts), "attention_mask": batch.mask}
        with self._precision():
            result = self.decoder(
                **inputs,
                position_ids=batch.positions,
                use_cache="past_key_values" in inputs,
                output_hidden_states=bool(hidden_layers),
            )
            last = result.last_hidden_state[batch.answer_row, batch.answer_column]  # [A, H]
            logits = _at_least_float32(self.head(last))
        hidden = None
        if hidden_layers:
            states = [result.hidden_states[layer] for layer in hidden_layers]
            gathered = [state[batch.answer_row, batch.answer_column] for state in states]
            hidden = _at_least_float32(torch.cat(gathered, dim=-1))
        return Output(logits=logits, targets=batch.targets, row=batch.answer_row, hidden=hidden)

    @torch.no_grad()
    def answer(self, rows: Sequence[Row], prompts: PromptVectors | None, limits: Limits) -> list[RawAnswer]:
        """Greedy answers of a batch; a row's answer depends on nothing but its own prompt and text."""
        batch = self._collate(rows, prompts, with_answers=False)
        mask, position = batch.mask, batch.positions[:, -1:]
        cache = DynamicCache(config=self.model.config)
        embeds, positions = self._embed(batch, prompts), batch.positions
        done = torch.zeros(len(rows), dtype=torch.bool, device=self.device)
        written: list[Tensor] = []
        for _ in range(limits.tokens):
            with self._precision():
                result = self.decoder(
                    inputs_embeds=embeds,
                    attention_mask=mask,
                    position_ids=positions,
                    past_key_values=cache,
                    use_cache=True,
                )
                # Contiguous, because a strided slice into a frozen head copies the head once per row.
                logits = self.head(result.last_hidden_state[:, -1].contiguous())
            token = logits.argmax(dim=-1)
            done = done | (token == self.eos)  # what a row writes after its end is cut off when it is read
            written.append(token)
            if bool(done.all()):
                break
            mask = torch.cat([mask, torch.ones_like(mask[:, :1])], dim=1)
            position = position + 1
            embeds, positions = self.model.get_input_embeddings()(token[:, None]), position
        return [self._raw_answer(line) for line in torch.stack(written, dim=1).tolist()]

    def _tails(self, rows: Sequence[Row], prompts: PromptVectors, notes: NoteCache) -> tuple[Tail, dict[str, Any]]:
        """The part of a batch behind its contexts, and the decoder's inputs for it."""
        start = () if self.bos is None else (self.bos,)
        states = notes.states([start + row.context for row in rows])
        lengths = torch.tensor([state.shape[3] for state in states])
        vectors = prompts.vectors[list(prompts.owners(len(rows)))]
        length = vectors.shape[1]
        tail = self._moved(collate_tails(rows, lengths, prompt_length=length, pad=self.pad))
        embeds = self.model.get_input_embeddings()(tail.ids)
        embeds = torch.cat([vectors.to(embeds.device, embeds.dtype), embeds[:, length:]], dim=1)
        # Additive, in the embeddings' dtype: what every attention implementation takes as it is.
        hidden = torch.zeros(tail.mask.shape, dtype=embeds.dtype, device=embeds.device)
        hidden = hidden.masked_fill(~tail.mask, torch.finfo(embeds.dtype).min)
        return tail, {"inputs_embeds": embeds, "attention_mask": hidden, "past_key_values": as_cache(states)}

    @torch.no_grad()
    def _prefill(self, contexts: Sequence[tuple[int, ...]], *, tokens: int = 8192) -> list[Tensor]:
        """States of contexts in the order given, in batches of at most ``tokens`` padded tokens."""
        found: list[Tensor] = []
        while len(found) < len(contexts):
            part = [contexts[len(found)]]
            for context in contexts[len(found) + 1 :]:
                if (len(part) + 1) * max(len(context), len(part[-1])) > tokens:
                    break
                part.append(context)
            columns = [torch.tensor(context) for context in part]
            ids = pad_sequence(columns, batch_first=True, padding_value=self.pad).to(self.device)
            lengths = [len(context) for context in part]
            mask = torch.arange(ids.shape[1])[None, :] < torch.tensor(lengths)[:, None]
            cache = DynamicCache()
            with self._precision():
                self.decoder(
                    input_ids=ids, attention_mask=mask.long().to(self.device), past_key_values=cache, use_cache=True
                )
            found += as_states(cache, lengths)
        return found

    def _raw_answer(self, line: list[int]) -> RawAnswer:
        truncated = self.eos not in line
        kept = line if truncated else line[: line.index(self.eos)]
        text = self.tokenizer.decode(kept, skip_special_tokens=False, clean_up_tokenization_spaces=False)
        return RawAnswer(text=text, tokens=len(kept), truncated=truncated)

    def _collate(self, rows: Sequence[Row], prompts: PromptVectors | None, *, with_answers: bool) -> CausalBatch:
        return self._moved(collate(rows, prompts, bos=self.bos, pad=self.pad, with_answers=with_answers))

    def _moved(self, batch: Laid) -> Laid:
        if self.device.type == "cpu":
            return batch
        return replace(batch, **{field.name: getattr(batch, field.name).to(self.device) for field in fields(batch)})

    def _embed(self, batch: CausalBatch, prompts: PromptVectors | None) -> Tensor:
        embeds = self.model.get_input_embeddings()(batch.ids)  # [B, T, H]
        if prompts is None:
            return embeds
        return place(embeds, batch, prompts.vectors.to(self.device))

    def _precision(self) -> contextlib.AbstractContextManager[Any]:
        if self.autocast is None:
            return contextlib.nullcontext()
        return torch.autocast(self.device.type, self.autocast)


def _at_least_float32(values: Tensor) -> Tensor:
    """Losses are never computed in half precision; a float64 backbone (tests) keeps its own."""
    return values.to(torch.promote_types(values.dtype, torch.float32))
