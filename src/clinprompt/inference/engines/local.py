"""The local engine: rows of any mix of prompts in, answers out, on the backbone in this process."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from clinprompt.backbones import padded
from clinprompt.backbones.causal import CausalBackbone
from clinprompt.backbones.decoding import Line
from clinprompt.backbones.protocol import Generation, Placement, PromptVectors, RawAnswer, Row
from clinprompt.backbones.state_store import StateStore, content_key
from clinprompt.errors import InputError
from clinprompt.inference.beams import search
from clinprompt.inference.constraint import Constraint, likeliest
from clinprompt.inference.draft import Draft
from clinprompt.inference.greedy import Greedy


@dataclass(frozen=True, slots=True)
class Request:
    """One row with its own prompt: vectors ``[P, H]`` and their placement, or ``None`` for no prompt.

    ``constraint`` makes what the row's answer may be (``None``: anything) when it is begun. ``prompt`` is the prompt's
    name with its version (``meds@3``), for engines that hold the vectors themselves.
    """

    row: Row
    vectors: Tensor | None = None
    placement: Placement = Placement.suffix
    constraint: Callable[[], Constraint | None] = lambda: None
    prompt: str = ""


class Engine(Protocol):
    """What a predictor asks of whatever runs the network."""

    def answers(
        self, requests: Sequence[Request], generation: Generation, *, watch: Callable[[int], None] = ...
    ) -> list[RawAnswer]:
        """The requests' answers in their order; ``watch`` hears how many more are finished."""
        ...

    def likelihoods(self, requests: Sequence[Request], choices: Sequence[Sequence[str]]) -> list[list[float]]:
        """Log-probability in nats of each request's possible answers, each with its end token."""
        ...


class LocalEngine:
    """Answers requests on one state of a backbone's weights, whatever tasks and prompts they mix.

    What requests share is run once and kept within ``store``: the context before suffix prompts, the vectors of
    prompts that stand before. At most ``rows`` answers are written side by side, and ``tokens`` run at once.
    """

    def __init__(
        self, backbone: CausalBackbone, *, store: StateStore | None = None, rows: int = 64, tokens: int = 8192
    ) -> None:
        self.backbone, self.rows, self.tokens = backbone, rows, tokens
        self.store = store or backbone.state_store()
        self.notes = backbone.note_cache(self.store, together=True)

    def answers(
        self,
        requests: Sequence[Request],
        generation: Generation,
        *,
        watch: Callable[[int], None] = lambda rows: None,
    ) -> list[RawAnswer]:
        """The requests' answers in their order, each the same whatever the others are; ``watch`` hears of progress."""
        found: list[RawAnswer | None] = [None] * len(requests)
        order = self._order(requests)
        if not self.backbone.packed:
            if generation.beams > 1:
                raise InputError(
                    "beams are not to be had on this backbone, whose attention is of its own kind",
                    where=f"backbone {self.backbone.name}",
                    fix="answer greedily",
                )
            self._padded(requests, order, generation, found, watch)
        elif generation.beams > 1:
            wide = max(1, self.rows // generation.beams)
            for at in range(0, len(order), wide):
                chosen = order[at : at + wide]
                logits, lines = self._start([requests[i] for i in chosen])
                constraints = [requests[i].constraint() for i in chosen]
                answers = search(self.backbone, logits, lines, generation, constraints=constraints)
                for i, answer in zip(chosen, answers, strict=True):
                    found[i] = answer
                watch(len(chosen))
        else:
            allowed = lambda i: requests[i].constraint()  # noqa: E731
            greedy = Greedy(self.backbone, generation, rows=self.rows, allowed=allowed)
            for i, answer in greedy.run(order, lambda chosen: self._start([requests[i] for i in chosen])):
                found[i] = answer
                watch(1)
        return [answer for answer in found if answer is not None]

    @torch.no_grad()
    def likelihoods(self, requests: Sequence[Request], choices: Sequence[Sequence[str]]) -> list[list[float]]:
        """Log-probability in nats of each request's possible answers, each with its end token."""
        flat = [(i, choice) for i, texts in enumerate(choices) for choice in texts]
        rows = [self.backbone.with_answer(requests[i].row, choice) for i, choice in flat]
        found: list[list[float]] = [[] for _ in requests]
        for chunk in _chunks([requests[i].row.length + 32 for i, _ in flat], self.tokens):
            chosen = [requests[flat[j][0]] for j in chunk]
            for placement, members in _by_placement(chosen).items():
                part = [rows[chunk[m]] for m in members]
                prompts = _prompts([chosen[m] for m in members], placement)
                output = self.backbone.forward(part, prompts, notes=self.notes)
                values = -torch.nn.functional.cross_entropy(output.logits, output.targets, reduction="none")
                totals = torch.zeros(len(part), dtype=values.dtype, device=values.device)
                sums = totals.index_add(0, output.row, values).tolist()
                for m, total in zip(members, sums, strict=True):
                    found[flat[chunk[m]][0]].append(total)
        return found

    def _order(self, requests: Sequence[Request]) -> list[int]:
        """Requests that share a context side by side, in the order in which the contexts first come."""
        first: dict[tuple[int, ...], int] = {}
        for i, request in enumerate(requests):
            first.setdefault(request.row.context, i)
        return sorted(range(len(requests)), key=lambda i: (first[requests[i].row.context], i))

    def _start(self, requests: Sequence[Request]) -> tuple[Tensor, list[Line]]:
        """First-token logits and lines of requests, in packs of at most ``tokens`` tokens."""
        logits: list[Tensor | None] = [None] * len(requests)
        lines: list[Line | None] = [None] * len(requests)
        sizes = [request.row.length for request in requests]
        for chunk in _chunks(sizes, self.tokens):
            for placement, members in _by_placement([requests[i] for i in chunk]).items():
                places = [chunk[m] for m in members]
                part = [requests[i] for i in places]
                prompts = _prompts(part, placement)
                found, begun = self.backbone.begin([r.row for r in part], prompts, self._trunks(part, prompts))
                for i, row_logits, line in zip(places, found, begun, strict=True):
                    logits[i], lines[i] = row_logits, line
        return torch.stack([x for x in logits if x is not None]), [line for line in lines if line is not None]

    def _trunks(self, requests: Sequence[Request], prompts: PromptVectors | None) -> list[Tensor]:
        """What each request shares with others: its prompt's states where it stands before, else its context's."""
        if prompts is None or prompts.placement is Placement.suffix:
            assert self.notes is not None
            return self.notes.states([self.backbone.start + request.row.context for request in requests])
        identity = f"{self.backbone.identity}, {prompts.placement}"
        keys = [content_key(identity, prompts.vectors[m, : prompts.length(m)]) for m in range(len(prompts.vectors))]
        states = {key: kept for key in keys if (kept := self.store.get(key)) is not None}
        missing = [m for m, key in enumerate(keys) if key not in states]
        if missing:
            lengths = tuple(prompts.length(m) for m in missing)
            new = PromptVectors(prompts.vectors[missing], prompts.placement, lengths=lengths)
            for m, kept in zip(missing, self.backbone.prompt_states(new), strict=True):
                states[keys[m]] = kept
                self.store.put(keys[m], kept)
        return [states[keys[m]] for m in prompts.owners(len(requests))]

    def _padded(
        self,
        requests: Sequence[Request],
        order: list[int],
        generation: Generation,
        found: list[RawAnswer | None],
        watch: Callable[[int], None],
    ) -> None:
        """Greedy answers through the stock network, for attention that cannot be replaced."""
        for chunk in _chunks([requests[i].row.length for i in order], self.tokens):
            chosen = [order[c] for c in chunk]
            for placement, members in _by_placement([requests[i] for i in chosen]).items():
                part = [requests[chosen[m]] for m in members]
                drafts = [Draft(request.constraint()) for request in part]

                def choose(logits: Tensor, drafts: list[Draft] = drafts) -> list[int]:
                    best = likeliest(logits, [draft.constraint for draft in drafts])
                    ended = [
                        draft.add(self.backbone, token, generation) for draft, token in zip(drafts, best, strict=True)
                    ]
                    return [self.backbone.eos if end else token for end, token in zip(ended, best, strict=True)]

                rows = [request.row for request in part]
                padded.greedy(self.backbone, rows, _prompts(part, placement), most=generation.tokens, choose=choose)
                for m, draft in zip(members, drafts, strict=True):
                    found[chosen[m]] = draft.answer
            watch(len(chunk))


def _chunks(sizes: Sequence[int], most: int) -> list[list[int]]:
    """Consecutive numbers whose sizes add up to at most ``most``, one at least."""
    chunks: list[list[int]] = []
    total = 0
    for i, size in enumerate(sizes):
        if not chunks or total + size > most:
            chunks.append([])
            total = 0
        chunks[-1].append(i)
        total += size
    return chunks


def _by_placement(requests: Sequence[Request]) -> dict[Placement | None, list[int]]:
    found: dict[Placement | None, list[int]] = {}
    for i, request in enumerate(requests):
        found.setdefault(None if request.vectors is None else request.placement, []).append(i)
    return found


def _prompts(requests: Sequence[Request], placement: Placement | None) -> PromptVectors | None:
    """The different prompts of requests of one placement, and which request has which."""
    if placement is None:
        return None
    distinct: dict[int, Tensor] = {}
    for request in requests:
        assert request.vectors is not None
        distinct.setdefault(id(request.vectors), request.vectors)
    numbers = {key: m for m, key in enumerate(distinct)}
    vectors = torch.nn.utils.rnn.pad_sequence(list(distinct.values()), batch_first=True)
    owner = tuple(numbers[id(request.vectors)] for request in requests)
    return PromptVectors(vectors, placement, owner, tuple(len(one) for one in distinct.values()))
