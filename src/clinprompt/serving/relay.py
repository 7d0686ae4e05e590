"""A gateway's engine: rows go on to another server, which has the network; the face is that of the live engine."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

from clinprompt.backbones.protocol import Generation, RawAnswer
from clinprompt.errors import InputError
from clinprompt.inference.engines.local import Request
from clinprompt.inference.engines.openai import OpenAIEngine
from clinprompt.inference.engines.ticket import Heard, Written
from clinprompt.inference.engines.unanswered import Cancelled, Closed, Expired, Full, Unreachable
from clinprompt.inference.engines.wire import Refused

Value = TypeVar("Value")


@dataclass(frozen=True, slots=True)
class RelayTicket:
    """A row that was sent on."""

    future: Future[RawAnswer]
    gone: threading.Event
    queued: float = 0.0

    def cancel(self) -> None:
        """Wait for it no longer; what was sent already the other server finishes."""
        self.gone.set()
        self.future.cancel()


class Relay:
    """Sends rows on; at most ``rows`` are on their way and ``waiting`` more wait."""

    def __init__(self, engine: OpenAIEngine, *, rows: int, waiting: int) -> None:
        self.engine, self.most = engine, rows + waiting
        self.rows = rows
        self.alive = True
        self._count, self._lock = 0, threading.Lock()
        self._pool = ThreadPoolExecutor(rows, thread_name_prefix="relay")

    @property
    def running(self) -> int:
        """How many rows are on their way."""
        return min(self._count, self.rows)

    @property
    def waiting(self) -> int:
        """How many rows wait to be sent."""
        return max(0, self._count - self.rows)

    def submit(
        self, request: Request, generation: Generation, *, deadline: float | None = None, chances: int = 0,
        heard: Heard | None = None,
    ) -> RelayTicket:  # fmt: skip
        """Send a row on; ``heard`` hears the whole answer at once. Raises :class:`Full` and :class:`Closed`."""
        gone = threading.Event()

        def run() -> RawAnswer:
            [answer] = self.session(deadline=deadline, cancelled=gone).answers([request], generation)
            if heard is not None:
                end = self.engine.checkpoint.backbone.eos
                heard(Written(answer.text, answer.tokens, end, 0.0, done=True))
            return answer

        self._enter()
        try:
            future = self._pool.submit(run)
        except RuntimeError:
            self._leave()
            raise Closed("the server is about to stop") from None
        future.add_done_callback(lambda _: self._leave())
        return RelayTicket(future, gone)

    def session(self, *, deadline: float | None = None, cancelled: threading.Event | None = None) -> RelaySession:
        """The engine for one request."""
        return RelaySession(self, deadline, cancelled)

    def call(self, work: Callable[[], Value]) -> Value:
        """Run a function here: the network is elsewhere."""
        return work()

    def close(self, *, drain: float = 0.0) -> None:
        """Send nothing more on."""
        self._pool.shutdown(wait=drain > 0, cancel_futures=not drain)
        self.engine.close()

    def _enter(self) -> None:
        with self._lock:
            if self._count >= self.most:
                raise Full("too many rows wait for the engine")
            self._count += 1

    def _leave(self) -> None:
        with self._lock:
            self._count -= 1


@dataclass(frozen=True, slots=True)
class RelaySession:
    """Answers the requests of one caller, as many at a time as the engine takes."""

    relay: Relay
    deadline: float | None
    cancelled: threading.Event | None

    def answers(
        self, requests: Sequence[Request], generation: Generation, *, watch: Callable[[int], None] = lambda rows: None
    ) -> list[RawAnswer]:
        """The requests' answers in their order."""
        found: list[RawAnswer] = []
        wide = self.relay.engine.wire.at_once
        for at in range(0, len(requests), wide):
            part = requests[at : at + wide]
            found += self._asked(lambda part=part: self.relay.engine.answers(part, generation, watch=watch))
        return found

    def likelihoods(self, requests: Sequence[Request], choices: Sequence[Sequence[str]]) -> list[list[float]]:
        """Log-probability in nats of each request's possible answers."""
        return self._asked(lambda: self.relay.engine.likelihoods(requests, choices))

    def _asked(self, ask: Callable[[], Value]) -> Value:
        """What the engine says, unless nobody wants to know any more.

        An engine that fails is no fault of the client; one that refuses the question has understood it.
        """
        if self.cancelled is not None and self.cancelled.is_set():
            raise Cancelled("the answer was cancelled")
        if self.deadline is not None and time.monotonic() >= self.deadline:
            raise Expired("the answer was not finished in time")
        try:
            return ask()
        except Refused as error:
            if error.status in (400, 413, 422):
                raise
            raise Unreachable(error.what) from None
        except InputError as error:
            raise Unreachable(error.what) from None
