"""A decoder language model of any Hugging Face family with a different soft prompt in every row."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import fields, replace
from typing import Any

import torch
from torch import Tensor
from transformers import DynamicCache

from clinprompt.backbones.attention import routed
from clinprompt.backbones.causal_batch import CausalBatch, collate, place
from clinprompt.backbones.note_cache import NoteCache
from clinprompt.backbones.pack import Pack, Segment
from clinprompt.backbones.protocol import Limits, Output, Placement, PromptVectors, RawAnswer, Row
from clinprompt.backbones.row_segments import lay_rows
from clinprompt.errors import InputError
from clinprompt.schema.formulated import Piece, TextPair


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
        packed: bool = True,
    ) -> None:
        self.model, self.tokenizer, self.name = model, tokenizer, name
        self.fingerprint, self.tokenizer_fingerprint = fingerprint, tokenizer_fingerprint
        self.template = template
        self.autocast, self.packed = autocast, packed
        self.decoder, self.head = model.get_decoder(), model.get_output_embeddings()
        config = model.config.get_text_config()
        self.hidden_size, self.n_layers = config.hidden_size, config.num_hidden_layers
        self.vocabulary = self.embeddings.shape[0]
        self.max_tokens = int(getattr(config, "max_position_embeddings", 0) or 2**31)
        self._start = () if tokenizer.bos_token_id is None else (tokenizer.bos_token_id,)
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
        """A cache for one training run with suffix prompts; ``None`` where it would be wrong: when weights train."""
        if any(weight.requires_grad for weight in self.model.parameters()) or not self.packed:
            return None
        return NoteCache(self.states)

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
            return self._forward_padded(rows, prompts, hidden_layers=hidden_layers)
        pasts = None
        if notes is not None and (prompts is None or prompts.placement is Placement.suffix):
            pasts = notes.states([self._start + row.context for row in rows])
        laid = lay_rows(rows, prompts, bos=self.bos, pad=self.pad, pasts=pasts)
        pack = Pack(laid.segments, device=self.device)
        row_of, places, targets = (
            torch.tensor(column, device=self.device) for column in laid.answers(rows, pack.starts)
        )
        result = self._run(pack, prompts, hidden=bool(hidden_layers))
        return self._output(
            result.last_hidden_state[0, places],
            [result.hidden_states[layer][0, places] for layer in hidden_layers],
            targets=targets,
            row=row_of,
        )

    def _forward_padded(
        self, rows: Sequence[Row], prompts: PromptVectors | None, *, hidden_layers: Sequence[int]
    ) -> Output:
        """The same through the stock network with rows padded on the right, prompts run again for every row."""
        batch = self._collate(rows, prompts, with_answers=True)
        with self._precision():
            result = self.decoder(
                inputs_embeds=self._embed(batch, prompts),
                attention_mask=batch.mask,
                position_ids=batch.positions,
                use_cache=False,
                output_hidden_states=bool(hidden_layers),
            )
        at = (batch.answer_row, batch.answer_column)
        hidden = [result.hidden_states[layer][at] for layer in hidden_layers]
        return self._output(result.last_hidden_state[at], hidden, targets=batch.targets, row=batch.answer_row)

    def _output(self, last: Tensor, hidden: Sequence[Tensor], *, targets: Tensor, row: Tensor) -> Output:
        """Head and record for the states ``[A, H]`` at answer positions."""
        with self._precision():
            logits = _at_least_float32(self.head(last))
        joined = _at_least_float32(torch.cat(list(hidden), dim=-1)) if hidden else None
        return Output(logits=logits, targets=targets, row=row, hidden=joined)

    def _run(self, pack: Pack, prompts: PromptVectors | None, *, hidden: bool = False) -> Any:
        """The decoder over a pack."""
        embeds = self.model.get_input_embeddings()(pack.ids)  # [N, H]
        if prompts is not None:
            chosen = prompts.vectors.to(self.device).flatten(0, 1)[pack.slot_vector]  # [K, H]
            embeds = embeds.index_put((pack.slot,), chosen.to(embeds.dtype))
        with self._precision(), routed(self.model):
            return self.decoder(
                inputs_embeds=embeds[None],
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
            pack = Pack([Segment(context) for context in part], keep=True, device=self.device)
            self._run(pack, None)
            found += [pack.states(i) for i in range(len(part))]
        return found

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

    def _raw_answer(self, line: list[int]) -> RawAnswer:
        truncated = self.eos not in line
        kept = line if truncated else line[: line.index(self.eos)]
        text = self.tokenizer.decode(kept, skip_special_tokens=False, clean_up_tokenization_spaces=False)
        return RawAnswer(text=text, tokens=len(kept), truncated=truncated)

    def _collate(self, rows: Sequence[Row], prompts: PromptVectors | None, *, with_answers: bool) -> CausalBatch:
        return self._moved(collate(rows, prompts, bos=self.bos, pad=self.pad, with_answers=with_answers))

    def _moved(self, batch: CausalBatch) -> CausalBatch:
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
