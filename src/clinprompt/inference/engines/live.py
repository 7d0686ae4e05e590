"""The live engine: one thread owns the backbone, and rows of any number of callers come and go in one batch."""

from __future__ import annotations

import contextlib
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from threading import Condition, Event, Thread, current_thread
from typing import Any, TypeVar

import torch

from clinprompt.backbones.causal import CausalBackbone
from clinprompt.backbones.protocol import Generation
from clinprompt.backbones.state_store import StateStore
from clinprompt.errors import InputError
from clinprompt.inference.draft import Draft
from clinprompt.inference.engines.local import LocalEngine, Request
from clinprompt.inference.engines.session import Session
from clinprompt.inference.engines.ticket import Heard, Terms, Ticket, Written
from clinprompt.inference.engines.unanswered import Cancelled, Closed, Died, Full
from clinprompt.inference.engines.waiting_line import Source, WaitingLine
from clinprompt.inference.writing import Writing

T = TypeVar("T")

SHARE = 16
"""While rows are being written, a step begins at most so small a part of the tokens that may run at once."""


class LiveEngine:
    """Answers rows of any number of threads in one batch, each as :class:`LocalEngine` answers it alone.

    At most ``rows`` answers are written side by side, ``tokens`` run at once, and ``waiting`` rows wait. A row that
    fails gets its exception and no other does; an engine that failed as a whole is not ``alive`` any more.
    """

    def __init__(
        self,
        backbone: CausalBackbone,
        *,
        store: StateStore | None = None,
        rows: int = 64,
        tokens: int = 8192,
        waiting: int = 256,
    ) -> None:
        self.backbone, self.rows, self.most = backbone, rows, waiting
        self.local = LocalEngine(backbone, store=store, rows=rows, tokens=tokens)
        self._writing = Writing(backbone)
        self._line = WaitingLine()
        self._running: dict[Draft, Ticket] = {}
        self._calls: deque[_Call] = deque()
        self._change = Condition()
        self._busy = self._closing = self._closed = False
        self._failure: BaseException | None = None
        self._thread = Thread(target=self._live, name="live engine", daemon=True)
        self._thread.start()

    @property
    def alive(self) -> bool:
        """Whether the engine's thread runs."""
        return self._thread.is_alive()

    @property
    def running(self) -> int:
        """How many rows are being begun or written."""
        return len(self._running)

    @property
    def waiting(self) -> int:
        """How many rows wait for their turn."""
        return len(self._line)

    def submit(
        self,
        request: Request,
        generation: Generation,
        *,
        deadline: float | None = None,
        chances: int = 0,
        heard: Heard | None = None,
    ) -> Ticket:
        """Line a row up and return at once.

        ``deadline`` is a ``time.monotonic`` in seconds; ``heard`` is called in the engine's thread for every token,
        with the ``chances`` likeliest ones of its place. Raises :class:`Full`, :class:`Closed` or :class:`Died`, and
        :class:`InputError` for beams, which a session answers.
        """
        if generation.beams > 1:
            raise InputError("beams are not written row by row", where="beams", fix="answer with one beam")
        terms = Terms(deadline)
        return self.enlist(request, generation, terms, Source(), chances=chances, heard=heard)

    def session(self, *, deadline: float | None = None, cancelled: Event | None = None) -> Session:
        """An engine for one :class:`Predictor`, whose rows share the batch with all others'.

        Its answers raise :class:`Expired` and :class:`Cancelled` when the time is over or ``cancelled`` is set.
        """
        return Session(self, deadline=deadline, cancelled=cancelled)

    def call(self, work: Callable[[], T], *, terms: Terms | None = None) -> T:
        """Run something in the engine's thread between two steps, and return or raise what it does."""
        if current_thread() is self._thread:
            return work()
        call = _Call(work, terms or Terms())
        with self._change:
            self._check(own=terms is not None)
            self._calls.append(call)
            self._change.notify_all()
        return call.future.result()

    def close(self, *, drain: float = 0.0) -> None:
        """Take nothing new, finish what was taken within ``drain`` seconds, cancel the rest, and end the thread.

        Sessions may go on until then.
        """
        with self._change:
            self._closing = True
            self._change.wait_for(self._idle, timeout=drain)
            self._closed = True
            self._change.notify_all()
        if current_thread() is not self._thread:
            self._thread.join()

    def __enter__(self) -> LiveEngine:
        return self

    def __exit__(self, *ended: object) -> None:
        self.close()

    def enlist(
        self,
        request: Request,
        generation: Generation,
        terms: Terms,
        source: Source,
        *,
        chances: int = 0,
        heard: Heard | None = None,
        patient: bool = False,
        own: bool = False,
    ) -> Ticket:
        """Line up a row of a source; a ``patient`` one waits until there is room, an ``own`` one is of a session."""
        with self._change:
            self._check(own=own)
            if not patient and len(self._line) >= self.most:
                raise Full(f"{self.most} rows wait already")
        # What the answer may be is worked out here, in the caller's thread: it can take longer than a step.
        draft = Draft(generation, request.constraint(), wanted=chances)
        ticket = Ticket(request, draft, terms, heard)
        with self._change:
            while patient and len(self._line) >= self.most and not self._closed and terms.broken() is None:
                self._change.wait(timeout=0.1)
            self._check(own=own)
            if len(self._line) >= self.most and terms.broken() is None:
                raise Full(f"{self.most} rows wait already")
            self._line.add(ticket, source)
            self._change.notify_all()
        return ticket

    def _check(self, *, own: bool) -> None:
        if self._failure is not None:
            raise Died("the engine has failed") from self._failure
        if self._closed or (self._closing and not own):
            raise Closed("the engine takes no more requests")

    def _idle(self) -> bool:
        return not (self._busy or self._line or self._running or self._calls) or not self.alive

    def _live(self) -> None:
        device = self.backbone.device
        chosen = torch.cuda.device(device) if device.type == "cuda" else contextlib.nullcontext()
        try:
            with torch.no_grad(), chosen:
                while self._turn():
                    pass
            reason: BaseException = Cancelled("the engine was closed")
        except BaseException as error:
            reason = Died("the engine has failed")
            reason.__cause__ = self._failure = error
        with self._change:
            self._closed = True
            left = [*self._running.values(), *self._line.tickets]
            calls = list(self._calls)
            self._running, self._line, self._calls = {}, WaitingLine(), deque()
            self._change.notify_all()
        for ticket in left:
            ticket.settle(reason)
        for call in calls:
            call.future.set_exception(reason)

    def _turn(self) -> bool:
        """One call, rows that leave, rows that begin, one step; whether there shall be another turn."""
        with self._change:
            self._busy = False
            self._change.notify_all()
            while not (self._line or self._running or self._calls or self._closed):
                self._change.wait()
            if self._closed:
                return False
            self._busy = True
            call = self._calls.popleft() if self._calls else None
            broken: list[tuple[Ticket, Exception]] = []
            self._line.remove(lambda ticket: _is_broken(ticket, broken))
            begun = self._line.next(self._room())
            self._running |= {ticket.draft: ticket for ticket in begun}
        if call is not None:
            call.run()
        for ticket in self._running.values():
            _is_broken(ticket, broken)
        for ticket, reason in broken:
            self._give_up(ticket, reason)
        self._begin([ticket for ticket in begun if ticket.draft in self._running])
        self._tell(self._writing.step())
        return True

    def _room(self) -> Callable[[Ticket], bool]:
        """Whether one more row may begin in this turn: rows that are written must not stand still for long."""
        left = self.local.tokens // SHARE if self._running else self.local.tokens
        rows = self.rows - len(self._running)

        def fits(ticket: Ticket) -> bool:
            nonlocal left, rows
            if rows <= 0 or left <= 0:
                return False
            rows, left = rows - 1, left - ticket.request.row.length
            return True

        return fits

    def _begin(self, tickets: Sequence[Ticket]) -> None:
        if not tickets:
            return
        try:
            logits, lines = self.local.start([ticket.request for ticket in tickets])
        except Exception as error:
            if isinstance(error, torch.AcceleratorError):
                raise
            if len(tickets) == 1:
                self._give_up(tickets[0], error)
                return
            for ticket in tickets:  # whose fault it was shows when each begins alone
                self._begin([ticket])
            return
        self._tell(self._writing.join([ticket.draft for ticket in tickets], logits, lines))

    def _tell(self, drafts: Sequence[Draft]) -> None:
        """Pass on what was written, and the answers that are finished."""
        for draft in drafts:
            ticket = self._running[draft]
            if draft.failed is not None:
                self._give_up(ticket, draft.failed)
                continue
            if ticket.heard is not None:
                try:
                    ticket.heard(self._written(draft))
                except Exception as error:
                    self._give_up(ticket, error)
                    continue
            if draft.answer is not None:
                del self._running[draft]
                ticket.settle(draft.answer)

    def _written(self, draft: Draft) -> Written:
        count = len(draft.tokens) if draft.answer is None else draft.answer.tokens
        text, token, chance = draft.fresh(self.backbone), draft.tokens[-1], draft.chances[-1]
        return Written(text, count, token, chance, draft.best, draft.answer is not None)

    def _give_up(self, ticket: Ticket, reason: BaseException) -> None:
        if self._running.pop(ticket.draft, None) is not None:
            self._writing.leave(ticket.draft)
        ticket.settle(reason)


class _Call:
    """Work for the engine's thread."""

    def __init__(self, work: Callable[[], Any], terms: Terms) -> None:
        self.work, self.terms = work, terms
        self.future: Future[Any] = Future()

    def run(self) -> None:
        """Do it, unless it is not wanted any more."""
        if (reason := self.terms.broken()) is not None:
            self.future.set_exception(reason)
            return
        try:
            self.future.set_result(self.work())
        except BaseException as error:
            self.future.set_exception(error)
            if isinstance(error, torch.AcceleratorError) or not isinstance(error, Exception):
                raise


def _is_broken(ticket: Ticket, broken: list[tuple[Ticket, Exception]]) -> bool:
    reason = ticket.terms.broken()
    if reason is not None:
        broken.append((ticket, reason))
    return reason is not None
