"""The live engine as one caller sees it: like an engine of its own, with a deadline."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from threading import Event
from typing import TYPE_CHECKING, TypeVar

from clinprompt.backbones.protocol import Generation, RawAnswer
from clinprompt.inference.engines.local import ANSWER, Request
from clinprompt.inference.engines.ticket import Terms, Ticket
from clinprompt.inference.engines.waiting_line import Source

if TYPE_CHECKING:
    from clinprompt.inference.engines.live import LiveEngine

T = TypeVar("T")


class Session:
    """Answers requests through the live engine; see :class:`clinprompt.inference.engines.engine.Engine`.

    All of it raises :class:`Expired` after ``deadline`` and :class:`Cancelled` once ``cancelled`` is set. ``queued``:
    seconds that the first of its requests waited for a place in the batch; ``None`` before one had it.
    """

    def __init__(self, engine: LiveEngine, *, deadline: float | None = None, cancelled: Event | None = None) -> None:
        self.engine, self.deadline, self.cancelled = engine, deadline, cancelled
        self.source = Source()
        self.queued: float | None = None

    def answers(
        self,
        requests: Sequence[Request],
        generation: Generation,
        *,
        watch: Callable[[int], None] = lambda rows: None,
    ) -> list[RawAnswer]:
        """The requests' answers in their order; ``watch`` hears of progress.

        Raises :class:`Full` when there is no room for the first row; the others wait for theirs.
        """
        local = self.engine.local
        order = local.order(requests)
        if generation.beams > 1:
            return self._searched(requests, order, generation, watch)
        found: dict[int, RawAnswer] = {}
        pending: deque[tuple[int, Ticket]] = deque()

        def collect() -> None:
            i, ticket = pending[0]
            found[i] = ticket.result()
            self.queued = ticket.queued if self.queued is None else self.queued
            pending.popleft()
            watch(1)

        try:
            for i in order:
                while len(pending) >= self.engine.rows:
                    collect()
                terms, patient = self._terms(), bool(found or pending)
                ticket = self.engine.enlist(requests[i], generation, terms, self.source, patient=patient, own=True)
                pending.append((i, ticket))
            while pending:
                collect()
        finally:
            for _, ticket in pending:
                ticket.cancel()
        return [found[i] for i in range(len(requests))]

    def likelihoods(self, requests: Sequence[Request], choices: Sequence[Sequence[str]]) -> list[list[float]]:
        """Log-probability in nats of each request's possible answers, each with its end token."""
        found: list[list[float]] = []
        for part in self._parts(requests, choices):
            some, texts = requests[part], choices[part]
            found += self._call(lambda some=some, texts=texts: self.engine.local.likelihoods(some, texts))
        return found

    def _searched(
        self, requests: Sequence[Request], order: list[int], generation: Generation, watch: Callable[[int], None]
    ) -> list[RawAnswer]:
        """Beams do not share steps with others: they run alone, as many rows at a time as have room."""
        found: dict[int, RawAnswer] = {}
        wide = max(1, self.engine.rows // generation.beams)
        for at in range(0, len(order), wide):
            chosen = order[at : at + wide]
            some = [requests[i] for i in chosen]
            answers = self._call(lambda some=some: self.engine.local.answers(some, generation))
            found |= zip(chosen, answers, strict=True)
            watch(len(chosen))
        return [found[i] for i in range(len(requests))]

    def _parts(self, requests: Sequence[Request], choices: Sequence[Sequence[str]]) -> Iterator[slice]:
        """Stretches of requests of which each is run between two steps."""
        first, total = 0, 0
        for i, (request, texts) in enumerate(zip(requests, choices, strict=True)):
            size = (request.row.length + ANSWER) * len(texts)
            if i > first and total + size > self.engine.portion:
                yield slice(first, i)
                first, total = i, 0
            total += size
        if requests:
            yield slice(first, len(requests))

    def _call(self, work: Callable[[], T]) -> T:
        began = time.monotonic()

        def run() -> T:
            self.queued = time.monotonic() - began if self.queued is None else self.queued
            return work()

        return self.engine.call(run, terms=self._terms())

    def _terms(self) -> Terms:
        return Terms(self.deadline, self.cancelled)
