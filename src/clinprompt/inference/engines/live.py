"""The live engine: one thread owns the backbone, and rows of any number of callers come and go in one batch."""

from __future__ import annotations

import contextlib
import time
from collections import deque
from collections.abc import Callable, Sequence
from threading import Condition, Event, Thread, current_thread
from typing import TypeVar

import torch
from torch import Tensor

from clinprompt.backbones.causal import CausalBackbone
from clinprompt.backbones.protocol import Generation
from clinprompt.backbones.state_store import StateStore
from clinprompt.errors import InputError
from clinprompt.inference.draft import Draft
from clinprompt.inference.engines.beginnings import LEAST, Beginnings
from clinprompt.inference.engines.call import Call
from clinprompt.inference.engines.local import LocalEngine, Request
from clinprompt.inference.engines.session import Session
from clinprompt.inference.engines.ticket import Heard, Terms, Ticket, Written
from clinprompt.inference.engines.unanswered import Cancelled, Closed, Died, Full
from clinprompt.inference.engines.waiting_line import Source, WaitingLine
from clinprompt.inference.writing import Writing

T = TypeVar("T")

PAUSE = 0.1
"""Seconds for which the reading of notes may hold up the rows that are being written, in each step."""

SPEED = 5000.0
"""Tokens per second that are read; what is assumed before it has been measured."""


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
        self._writing, self._beginnings = Writing(backbone), Beginnings(self.local)
        self._speed = SPEED
        self._line = WaitingLine()
        self._running: dict[Draft, Ticket] = {}
        self._calls: deque[Call] = deque()
        self._change = Condition()
        self._busy = self._closing = self._closed = False
        self._failure: BaseException | None = None
        self._thread = Thread(target=self._live, name="live engine", daemon=True)
        self._thread.start()

    @property
    def alive(self) -> bool:
        """Whether the engine's thread runs and has not failed."""
        return self._thread.is_alive() and self._failure is None

    @property
    def portion(self) -> int:
        """How many tokens to run between two steps at most, so that rows do not stand still for long."""
        return min(self.local.tokens, max(LEAST, int(PAUSE * self._speed)))

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
        call = Call(work, terms or Terms())
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
            admitted = self._line.next(self.rows - len(self._running))
            self._running |= {ticket.draft: ticket for ticket in admitted}
        self._beginnings.add(admitted)
        for ticket in self._running.values():
            _is_broken(ticket, broken)
        for ticket, reason in broken:
            self._give_up(ticket, reason)
        if call is not None:
            call.run()
        self._read()
        self._tell(self._writing.step())
        return True

    def _read(self) -> None:
        """Read notes for as long as rows may be held up, and begin the rows that are ready."""
        if not self._beginnings.notes:
            return
        began = time.monotonic()
        starts, used = self._beginnings.proceed(self.portion)
        for start in starts:
            if start.failure is None:
                self._begin(start.tickets, start.trunks)
            else:
                for ticket in start.tickets:
                    self._give_up(ticket, start.failure)
        if self.backbone.device.type == "cuda":
            torch.cuda.synchronize(self.backbone.device)
        if used >= LEAST:
            self._speed = (self._speed + used / (time.monotonic() - began)) / 2

    def _begin(self, tickets: list[Ticket], trunks: list[Tensor] | None) -> None:
        try:
            logits, lines = self.local.start([ticket.request for ticket in tickets], trunks)
        except Exception as error:
            if isinstance(error, torch.AcceleratorError):
                raise
            if len(tickets) == 1:
                self._give_up(tickets[0], error)
                return
            for i, ticket in enumerate(tickets):  # whose fault it was shows when each begins alone
                self._begin([ticket], None if trunks is None else [trunks[i]])
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
            self._beginnings.remove(ticket)
        ticket.settle(reason)


def _is_broken(ticket: Ticket, broken: list[tuple[Ticket, Exception]]) -> bool:
    reason = ticket.terms.broken()
    if reason is not None:
        broken.append((ticket, reason))
    return reason is not None
