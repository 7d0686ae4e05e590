"""One row's way through the live engine, as the thread that submitted it sees it."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from concurrent.futures import Future, InvalidStateError
from contextlib import suppress
from dataclasses import dataclass
from threading import Event

from clinprompt.backbones.protocol import RawAnswer
from clinprompt.inference.draft import Draft
from clinprompt.inference.engines.local import Request
from clinprompt.inference.engines.unanswered import Cancelled, Expired, Unanswered


@dataclass(frozen=True, slots=True)
class Written:
    """One more token of an answer: the new ``text`` that is final, and how many ``tokens`` have been written.

    ``token`` is its id (the end token has one too, though it is not counted; ``None`` where another program wrote it,
    which may tell several at once), ``chance`` its log-probability in nats, ``best`` the likeliest tokens of this place
    with theirs. ``done``: nothing more will be heard; all texts together
    are that of the answer.
    """

    text: str
    tokens: int
    token: int | None
    chance: float
    best: tuple[tuple[int, float], ...] = ()
    done: bool = False


Heard = Callable[[Written], None]


class Terms:
    """Until when something is wanted, and whether it still is: ``deadline`` is a ``time.monotonic``, in seconds."""

    def __init__(self, deadline: float | None = None, cancelled: Event | None = None) -> None:
        self.deadline, self.cancelled, self.given_up = deadline, cancelled, False

    def broken(self) -> Unanswered | None:
        """Why it is not wanted any more; ``None`` as long as it is."""
        if self.given_up or (self.cancelled is not None and self.cancelled.is_set()):
            return Cancelled("the answer was cancelled")
        if self.deadline is not None and time.monotonic() >= self.deadline:
            return Expired("the answer was not finished in time")
        return None

    def give_up(self) -> None:
        """Let everybody know that it is not wanted any more."""
        self.given_up = True
        if self.cancelled is not None:
            self.cancelled.set()

    def check(self) -> None:
        """Raise :class:`Cancelled` or :class:`Expired` when it is not wanted any more."""
        if (reason := self.broken()) is not None:
            raise reason


class Ticket:
    """A submitted row.

    ``future`` ends with the answer or with the reason why there is none; to await it: ``asyncio.wrap_future``.
    ``queued`` are the seconds that it waited for its place in the batch, so far or in all.
    """

    def __init__(self, request: Request, draft: Draft, terms: Terms, heard: Heard | None = None) -> None:
        self.request, self.draft, self.terms, self.heard = request, draft, terms, heard
        self.future: Future[RawAnswer] = Future()
        self.future.add_done_callback(lambda future: self.cancel() if future.cancelled() else None)
        self.turn = 0.0
        self._submitted, self._admitted = time.monotonic(), math.inf

    def admit(self) -> None:
        """Note that it has its place."""
        self._admitted = time.monotonic()

    @property
    def queued(self) -> float:
        """See the class."""
        return min(self._admitted, time.monotonic()) - self._submitted

    @property
    def done(self) -> bool:
        """Whether there is a result."""
        return self.future.done()

    def result(self, timeout: float | None = None) -> RawAnswer:
        """The answer; waits for it ``timeout`` seconds at most.

        Raises ``TimeoutError`` when it takes longer (the row goes on), an :class:`Unanswered` when there will be none,
        and whatever went wrong with this row.
        """
        return self.future.result(timeout)

    def cancel(self) -> None:
        """Give the row up: it leaves before the next step."""
        self.terms.given_up = True

    def settle(self, outcome: RawAnswer | BaseException) -> None:
        """End with an answer or an exception; what comes second changes nothing."""
        with suppress(InvalidStateError):
            if isinstance(outcome, BaseException):
                self.future.set_exception(outcome)
            else:
                self.future.set_result(outcome)
