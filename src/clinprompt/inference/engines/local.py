"""The local engine: rows of any mix of prompts in, answers out, on the backbone in this process."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from clinprompt.backbones.causal import CausalBackbone
from clinprompt.backbones.decoding import Line
from clinprompt.backbones.protocol import Generation, Placement, PromptVectors, RawAnswer, Row
from clinprompt.backbones.rectangle import Rectangle, Seat
from clinprompt.backbones.state_store import StateStore, content_key
from clinprompt.errors import InputError
from clinprompt.inference.beams import search
from clinprompt.inference.constraint import Constraint
from clinprompt.inference.draft import Draft
from clinprompt.inference.writing import Writing
from clinprompt.prompts.padded import padded

ANSWER = 32
"""Tokens counted for each answer whose likelihood is asked for, besides its row's."""


@dataclass(frozen=True, slots=True)
class Request:
    """One row with its own prompt: vectors ``[P, H]`` or ``[L, P, H]`` and their placement, or ``None`` for no prompt.

    ``constraint`` makes what the row's answer may be (``None``: anything) when it is begun. ``prompt`` is the prompt's
    name with its version (``meds@3``), for engines that hold the vectors themselves.
    """

    row: Row
    vectors: Tensor | None = None
    placement: Placement = Placement.suffix
    constraint: Callable[[], Constraint | None] = lambda: None
    prompt: str = ""


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
        order = self.order(requests)
        if generation.beams > 1:
            return self._searched(requests, order, generation, watch)
        writing, queue = Writing(self.backbone), deque(order)
        drafts: dict[int, Draft] = {}
        while queue or writing.rows:
            written: list[Draft] = []
            if queue and len(writing.rows) <= 3 * self.rows // 4:
                chosen = [queue.popleft() for _ in range(min(len(queue), self.rows - len(writing.rows)))]
                logits, lines = self.start([requests[i] for i in chosen])
                new = {i: Draft(generation, requests[i].constraint()) for i in chosen}
                written += writing.join(list(new.values()), logits, lines)
                drafts |= new
            written += writing.step()
            for draft in dict.fromkeys(written):
                if draft.failed is not None:
                    raise draft.failed
                if draft.over:
                    watch(1)
        return [answer for i in range(len(requests)) if (answer := drafts[i].answer) is not None]

    @torch.no_grad()
    def likelihoods(self, requests: Sequence[Request], choices: Sequence[Sequence[str]]) -> list[list[float]]:
        """Log-probability in nats of each request's possible answers, each with its end token."""
        flat = [(i, choice) for i, texts in enumerate(choices) for choice in texts]
        rows = [self.backbone.with_answer(requests[i].row, choice) for i, choice in flat]
        found: list[list[float]] = [[] for _ in requests]
        for chunk in _chunks([requests[i].row.length + ANSWER for i, _ in flat], self.tokens):
            chosen = [requests[flat[j][0]] for j in chunk]
            for members in _by_form(chosen):
                part = [rows[chunk[m]] for m in members]
                prompts = _prompts([chosen[m] for m in members])
                output = self.backbone.forward(part, prompts, notes=self.notes)
                values = -torch.nn.functional.cross_entropy(output.logits, output.targets, reduction="none")
                totals = torch.zeros(len(part), dtype=values.dtype, device=values.device)
                sums = totals.index_add(0, output.row, values).tolist()
                for m, total in zip(members, sums, strict=True):
                    found[flat[chunk[m]][0]].append(total)
        return found

    def order(self, requests: Sequence[Request]) -> list[int]:
        """Requests that share a context side by side, in the order in which the contexts first come."""
        first: dict[tuple[int, ...], int] = {}
        for i, request in enumerate(requests):
            first.setdefault(request.row.trunk, i)
        return sorted(range(len(requests)), key=lambda i: (first[requests[i].row.trunk], i))

    def start(
        self, requests: Sequence[Request], trunks: Sequence[Tensor] | None = None
    ) -> tuple[Tensor, list[Line | Seat]]:
        """Logits ``[B, V]`` of first tokens and the lines to go on from, in packs of at most ``tokens`` tokens.

        ``trunks`` are states of what each row begins with, where they were run before.
        """
        logits: dict[int, Tensor] = {}
        lines: dict[int, Line | Seat] = {}
        sizes = [request.row.length for request in requests]
        for chunk in _chunks(sizes, self.tokens):
            for members in _by_form([requests[i] for i in chunk]):
                places = [chunk[m] for m in members]
                given = None if trunks is None else [trunks[i] for i in places]
                found, begun = self._begin([requests[i] for i in places], given)
                logits |= zip(places, found, strict=True)
                lines |= zip(places, begun, strict=True)
        numbers = range(len(requests))
        return torch.stack([logits[i] for i in numbers]), [lines[i] for i in numbers]

    def prompt_states(self, request: Request) -> Tensor:
        """The states of what a request's prompt puts before everything."""
        return self._trunks([request], _prompts([request]))[0]

    def _begin(self, part: Sequence[Request], trunks: Sequence[Tensor] | None) -> tuple[Tensor, Sequence[Line | Seat]]:
        rows, prompts = [request.row for request in part], _prompts(part)
        if self.backbone.packed:
            return self.backbone.begin(rows, prompts, trunks or self._trunks(part, prompts))
        rectangle = Rectangle(self.backbone, rows, prompts)
        return rectangle.first, [Seat(rectangle, at) for at in range(len(rows))]

    def _searched(
        self, requests: Sequence[Request], order: list[int], generation: Generation, watch: Callable[[int], None]
    ) -> list[RawAnswer]:
        """The best answers of beams kept side by side."""
        if not self.backbone.packed:
            raise InputError(
                "beams are not to be had on this backbone, whose attention is of its own kind",
                where=f"backbone {self.backbone.name}",
                fix="answer greedily",
            )
        found: dict[int, RawAnswer] = {}
        wide = max(1, self.rows // generation.beams)
        for at in range(0, len(order), wide):
            chosen = order[at : at + wide]
            logits, begun = self.start([requests[i] for i in chosen])
            lines = [line for line in begun if isinstance(line, Line)]
            constraints = [requests[i].constraint() for i in chosen]
            found |= zip(chosen, search(self.backbone, logits, lines, generation, constraints=constraints), strict=True)
            watch(len(chosen))
        return [found[i] for i in range(len(requests))]

    def _trunks(self, requests: Sequence[Request], prompts: PromptVectors | None) -> list[Tensor]:
        """What each request shares with others: its prompt's states where it stands before, else its context's."""
        if prompts is None or prompts.placement is Placement.suffix:
            assert self.notes is not None
            return self.notes.states([self.backbone.start + self.notes.part(request.row) for request in requests])
        identity = f"{self.backbone.identity}, {prompts.placement}"
        keys = [
            content_key(identity, prompts.vectors[m, ..., : prompts.length(m), :]) for m in range(len(prompts.vectors))
        ]
        states = {key: kept for key in keys if (kept := self.store.get(key)) is not None}
        missing = [m for m, key in enumerate(keys) if key not in states]
        if missing:
            lengths = tuple(prompts.length(m) for m in missing)
            new = PromptVectors(prompts.vectors[missing], prompts.placement, lengths=lengths)
            for m, kept in zip(missing, self.backbone.prompt_states(new), strict=True):
                states[keys[m]] = kept
                self.store.put(keys[m], kept)
        return [states[keys[m]] for m in prompts.owners(len(requests))]


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


def _by_form(requests: Sequence[Request]) -> list[list[int]]:
    """Requests that can share a batch: without a prompt, or with one placement, at the input or in every layer."""
    found: dict[tuple[Placement, int] | None, list[int]] = {}
    for i, request in enumerate(requests):
        form = None if request.vectors is None else (request.placement, request.vectors.ndim)
        found.setdefault(form, []).append(i)
    return list(found.values())


def _prompts(requests: Sequence[Request]) -> PromptVectors | None:
    """The different prompts of requests of one form, and which request has which."""
    distinct = {id(request.vectors): request.vectors for request in requests if request.vectors is not None}
    if not distinct:
        return None
    numbers = {key: m for m, key in enumerate(distinct)}
    owner = tuple(numbers[id(request.vectors)] for request in requests)
    lengths = tuple(one.shape[-2] for one in distinct.values())
    return PromptVectors(padded(distinct.values()), requests[0].placement, owner, lengths)
