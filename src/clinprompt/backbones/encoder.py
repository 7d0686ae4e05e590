"""An encoder language model of any Hugging Face family with a different soft prompt and scorers in every row."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import cached_property

import torch
from torch import Tensor

from clinprompt.backbones import apart
from clinprompt.backbones.encoder_batch import EncoderBatch, parts_of
from clinprompt.backbones.encoder_network import EncoderNetwork
from clinprompt.backbones.guards import check_length
from clinprompt.backbones.heads import edge_logits, match_logits, question_losses
from clinprompt.backbones.note_cache import NoteCache
from clinprompt.backbones.protocol import Placement, PromptVectors, ReadingOutput, ReadingRow, TokenSpan
from clinprompt.backbones.question_row import context_tokens, question_row, spelled
from clinprompt.maths.span_decoding import candidates, decode, likely_pairs
from clinprompt.schema.document import Fragment
from clinprompt.schema.formulated import Piece, SpanQuestion


class EncoderBackbone(EncoderNetwork):
    """A frozen encoder with its tokenizer, reading questions about contexts.

    Prompts, scorers and losses stay float32 at least whatever the network runs in.
    """

    def tokens(self, piece: Piece) -> list[int]:
        """Token ids of one piece; special tokens are recognised only in trusted pieces."""
        return spelled(self.tokenizer, piece.text, trusted=piece.trusted)[0]

    def ask(self, question: SpanQuestion, *, name: str, reserve: int = 0) -> ReadingRow:
        """Token ids of a question about a context, neither of them trusted.

        ``reserve`` is the room to keep for prompt vectors. Raises :class:`InputError` when the row does not fit the
        backbone's context; nothing is ever cut off.
        """
        row = question_row(self.tokenizer, self.layout, question, name=name)
        needed = row.length + reserve
        check_length(needed, "its question and prompt", most=self.max_tokens, example=name, backbone=self.name)
        return row

    def borders(self, context: str) -> Callable[[Fragment], bool]:
        """What tells whether a place of this context begins and ends where tokens do, so that it can be an answer."""
        read = context_tokens(self.tokenizer, context, None)
        return lambda place: bool(read.gold((place,))[0])

    def forward(
        self,
        rows: Sequence[ReadingRow],
        prompts: PromptVectors,
        *,
        hidden_layers: Sequence[int] = (),
        notes: NoteCache | None = None,
    ) -> ReadingOutput:
        """Losses of a batch of questions, edge logits of their context tokens, and states of the layers asked for.

        Layers count from 0 (the embeddings) to L; negative numbers count from the end. With ``notes`` and prompts
        placed ``apart`` the texts are taken from the cache: the same numbers for less work. Raises ``ValueError`` when
        the prompts come without heads.
        """
        batch, states, hidden = self._states(rows, prompts, hidden_layers, notes)
        owners = prompts.owners(len(rows))
        edges = self._edges(states, batch, owners, prompts)
        return ReadingOutput(
            losses=question_losses(states, edges, batch.counted, rows, owners, self._heads(prompts)),
            row=torch.arange(len(rows), device=self.device),
            edges=edges,
            owner=batch.owner,
            hidden=hidden,
        )

    @torch.no_grad()
    def read(self, rows: Sequence[ReadingRow], prompts: PromptVectors, *, flat: bool = False) -> list[list[TokenSpan]]:
        """The answers to each question, in text order; ``flat`` keeps of overlapping answers the best.

        Any number of rows: they are run by length, at most ``tokens_at_once`` tokens together.
        """
        answers: list[list[TokenSpan]] = [[] for _ in rows]
        for part, chosen in self._parts(rows, prompts):
            for b, found in zip(part, self._read([rows[b] for b in part], chosen, flat=flat), strict=True):
                answers[b] = found
        return answers

    @torch.no_grad()
    def pair_scores(self, rows: Sequence[ReadingRow], prompts: PromptVectors) -> tuple[Tensor, Tensor]:
        """Of the likely pairs of all rows that match, the lower of the two edge logits, and which of them are answers.

        An answer is given where that logit is above 0 (:mod:`clinprompt.maths.span_decoding`). Likely ones are those of
        the ``LIKELY`` likeliest first and last tokens of each row.
        """
        scores, right = [], []
        for part, chosen in self._parts(rows, prompts):
            some, owners = [rows[b] for b in part], chosen.owners(len(part))
            batch, states, _ = self._states(some, chosen, (), self._notes())
            edges = self._edges(states, batch, owners, chosen)
            start = 0
            for row, owner in zip(some, owners, strict=True):
                own = slice(start, start + row.last - row.first)
                logits = edges[own].masked_fill(~batch.counted[own, None], -torch.inf)
                pairs = likely_pairs(logits)
                member = torch.full((len(pairs),), owner, device=self.device)
                pairs = pairs[match_logits(states[own], pairs, member, self._heads(chosen)) > 0]
                scores.append(torch.minimum(logits[pairs[:, 0], 0], logits[pairs[:, 1], 1]).cpu())
                gold = set(row.gold)
                right.append(torch.tensor([tuple(pair) in gold for pair in pairs.tolist()], dtype=torch.bool))
                start = own.stop
        return torch.cat(scores), torch.cat(right)

    def _read(self, rows: Sequence[ReadingRow], prompts: PromptVectors, *, flat: bool) -> list[list[TokenSpan]]:
        batch, states, _ = self._states(rows, prompts, (), self._notes())
        owners, heads = prompts.owners(len(rows)), self._heads(prompts)
        edges = self._edges(states, batch, owners, prompts)
        # Chosen where it is cheap, and matched for all rows at once: a call per row costs more than its numbers.
        likely, counted = edges.cpu(), batch.counted.cpu()
        pairs, start = [], 0
        for row in rows:
            own = slice(start, start + row.last - row.first)
            pairs.append(candidates(likely[own], counted[own]) + start)
            start = own.stop
        sizes = [len(found) for found in pairs]
        member = torch.tensor(owners).repeat_interleave(torch.tensor(sizes))
        match = match_logits(states, torch.cat(pairs).to(self.device), member.to(self.device), heads).cpu()
        answers, start = [], 0
        for row, found, scores in zip(rows, pairs, match.split(sizes), strict=True):
            answers.append(
                [TokenSpan(*span) for span in decode(*_one_per_place(row, found - start, scores), flat=flat)]
            )
            start += row.last - row.first
        return answers

    def _parts(self, rows: Sequence[ReadingRow], prompts: PromptVectors) -> Iterator[tuple[list[int], PromptVectors]]:
        """Numbers of rows of similar length, at most ``tokens_at_once`` tokens with padding, and their prompts."""
        owners = prompts.owners(len(rows))
        lengths = [row.length + prompts.length(owner) for row, owner in zip(rows, owners, strict=True)]
        notes = self._notes()
        if prompts.placement is Placement.apart and notes is not None:
            apart.read_ahead(self, rows, prompts, notes, tokens=self.tokens_at_once)
        for part in parts_of(lengths, self.tokens_at_once):
            yield part, replace(prompts, owner=tuple(owners[b] for b in part))

    def _states(
        self,
        rows: Sequence[ReadingRow],
        prompts: PromptVectors,
        hidden_layers: Sequence[int],
        notes: NoteCache | None = None,
    ) -> tuple[EncoderBatch, Tensor, Tensor | None]:
        """The batch, the last states ``[A, H]`` of its context tokens, and those of the layers asked for."""
        batch = self.batch(rows, prompts)
        if prompts.placement is Placement.apart:
            last, of_layer = apart.run(self, rows, prompts, batch, hidden_layers=hidden_layers, notes=notes)
        else:
            result = self.run(batch, *self.laid(batch, prompts), hidden=bool(hidden_layers))
            last, of_layer = result.last_hidden_state, lambda layer: result.hidden_states[layer]
        at = (batch.owner, batch.column)
        last = _at_least_float32(last[at])
        if not hidden_layers:
            return batch, last, None
        hidden = [
            last if layer in (-1, self.n_layers) else _at_least_float32(of_layer(layer)[at]) for layer in hidden_layers
        ]
        return batch, last, torch.cat(hidden, dim=-1)

    @cached_property
    def _kept(self) -> NoteCache | None:
        return self.note_cache(together=True)

    def _notes(self) -> NoteCache | None:
        """Texts kept from answer to answer, while the weights are the backbone's own and there is room for any."""
        return None if self.altered or not self.note_memory else self._kept

    def _edges(self, states: Tensor, batch: EncoderBatch, owners: Sequence[int], prompts: PromptVectors) -> Tensor:
        member = torch.tensor(owners, device=self.device)[batch.owner]
        return edge_logits(states, member, self._heads(prompts))

    def _heads(self, prompts: PromptVectors) -> dict[str, Tensor]:
        if not prompts.heads:
            raise ValueError("an encoder needs heads beside its prompts")
        return {name: value.to(self.device) for name, value in prompts.heads.items()}


def _one_per_place(row: ReadingRow, pairs: Tensor, match: Tensor) -> tuple[Tensor, Tensor]:
    """Of pairs that stand for the same characters (letters of several tokens) the one that matches best."""
    best: dict[tuple[int, int], int] = {}
    scores = match.tolist()
    for k, (first, last) in enumerate(pairs.tolist()):
        start, end = row.places[first], row.places[last]
        if scores[k] > 0 and start and end:
            here = (start[0], end[1])
            if here not in best or scores[k] > scores[best[here]]:
                best[here] = k
    kept = torch.tensor(sorted(best.values()), dtype=torch.long, device=pairs.device)
    return pairs[kept], match[kept]


def _at_least_float32(values: Tensor) -> Tensor:
    """Scorers and losses never run in half precision; a float64 backbone (tests) keeps its own."""
    return values.to(torch.promote_types(values.dtype, torch.float32))
