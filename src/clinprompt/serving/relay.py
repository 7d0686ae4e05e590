"""A gateway's engine: rows go on to another server, which has the network; the face is that of the live engine."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

from clinprompt.backbones.protocol import Generation, RawAnswer
from clinprompt.errors import InputError
from clinprompt.inference.draft import sure
from clinprompt.inference.engines.local import Request
from clinprompt.inference.engines.openai import OpenAIEngine
from clinprompt.inference.engines.ticket import Heard, Terms, Written
from clinprompt.inference.engines.unanswered import Closed, Full, Unreachable
from clinprompt.inference.engines.wire import Refused

Value = TypeVar("Value")


@dataclass(frozen=True, slots=True)
class RelayTicket:
    """A row that was sent on."""

    future: Future[RawAnswer]
    gone: threading.Event
    queued: float = 0.0

    def cancel(self) -> None:
        """Wait for it no longer; the connection to the other server is cut."""
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
        """Send a row on; ``heard`` hears its text as it comes, in tokens without names.

        Raises :class:`Full` and :class:`Closed`.
        """
        gone = threading.Event()
        telling = _Telling(generation.stop, heard or (lambda written: None))

        def run() -> RawAnswer:
            session = self.session(deadline=deadline, cancelled=gone)
            [answer] = session.answers([request], generation, heard=telling.go_on)
            telling.end(answer)
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
    queued: float = 0.0

    def answers(
        self,
        requests: Sequence[Request],
        generation: Generation,
        *,
        watch: Callable[[int], None] = lambda rows: None,
        heard: Callable[[str], None] = lambda text: None,
    ) -> list[RawAnswer]:
        """The requests' answers in their order; ``heard`` hears the text of a single one as it comes."""
        ask = partial(self.relay.engine.answers, requests, generation, watch=watch, terms=self._terms(), heard=heard)
        return self._asked(ask)

    def likelihoods(self, requests: Sequence[Request], choices: Sequence[Sequence[str]]) -> list[list[float]]:
        """Log-probability in nats of each request's possible answers."""
        return self._asked(lambda: self.relay.engine.likelihoods(requests, choices, terms=self._terms()))

    def _asked(self, ask: Callable[[], Value]) -> Value:
        """What the engine says, unless nobody wants to know any more.

        An engine that fails is no fault of the client; one that refuses the question has understood it.
        """
        self._terms().check()
        try:
            return ask()
        except Refused as error:
            if error.status in (400, 413, 422):
                raise
            raise Unreachable(error.what) from None
        except InputError as error:
            raise Unreachable(error.what) from None

    def _terms(self) -> Terms:
        return Terms(self.deadline, self.cancelled)


class _Telling:
    """Tells an answer's text as it comes, without what a stop text may take back."""

    def __init__(self, stops: Sequence[str], heard: Heard) -> None:
        self.stops, self.heard = stops, heard
        self.text, self.told, self.pieces = "", "", 0

    def go_on(self, text: str) -> None:
        """Hear of more text."""
        self.text += text
        self.pieces += bool(text)
        whole = self._stopped()
        new = (whole if whole != self.text else sure(whole, self.stops))[len(self.told) :]
        if new:
            self.told += new
            self.heard(Written(new, self.pieces, None, 0.0))

    def end(self, answer: RawAnswer) -> None:
        """Tell what was held back; what was told already cannot be taken back."""
        # Some servers leave blanks and special tokens out of texts, which the answer's tokens have.
        whole = answer.text if self.told in answer.text else self._stopped()
        rest = whole[whole.find(self.told) + len(self.told) :]
        self.heard(Written(rest, answer.tokens, None, 0.0, done=True))

    def _stopped(self) -> str:
        """The text up to a stop text."""
        places = [place for stop in self.stops if (place := self.text.find(stop)) >= 0]
        return self.text[: min(places)] if places else self.text
