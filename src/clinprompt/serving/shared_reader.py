"""Encoders under load: the questions of all waiting requests are read together, a slice at a time."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import CancelledError, Future, InvalidStateError, ThreadPoolExecutor, wait
from contextlib import suppress
from dataclasses import dataclass
from typing import TypeVar

from clinprompt.inference.engines.ticket import Terms
from clinprompt.inference.engines.unanswered import Closed, Full
from clinprompt.inference.predictor import Question
from clinprompt.inference.reading import ReadingPredictor
from clinprompt.schema.prediction import Prediction
from clinprompt.tasks.formulations.asks import questions as asks_of

Value = TypeVar("Value")

PAUSE = 0.5
"""Seconds for which a slice may keep the others from their turn."""

SPEED = 10_000.0
"""Characters per second that are read for one label; what is assumed before it has been measured."""

_LOOK = 0.1
"""Seconds after which a request that waits looks whether it is still wanted."""


class _Job:
    """The questions of a request: numbers of those ``left`` to be read, and what was found for the others.

    ``queued``: seconds that the first of them waited for its turn; ``None`` before.
    """

    def __init__(self, questions: Sequence[Question], terms: Terms) -> None:
        self.questions, self.terms = questions, terms
        self.work = [_work(question) for question in questions]
        self.left = deque(range(len(questions)))
        self.found: dict[int, Prediction] = {}
        self.end: Future[list[Prediction]] = Future()
        self.queued: float | None = None
        self._came = time.monotonic()

    @property
    def wanted(self) -> bool:
        """Whether somebody waits for what is not found yet."""
        return not self.end.done() and self.terms.broken() is None

    def take(self) -> int:
        """The number of its next question, which is to be read now."""
        if self.queued is None:
            self.queued = time.monotonic() - self._came
        return self.left.popleft()

    def tell(self, number: int, found: Prediction) -> None:
        """Take an answer; the last one ends the job."""
        self.found[number] = found
        if len(self.found) == len(self.questions):
            self.settle([self.found[i] for i in range(len(self.questions))])

    def settle(self, outcome: list[Prediction] | Exception) -> None:
        """End with the answers or a reason; what comes second changes nothing."""
        with suppress(InvalidStateError):
            if isinstance(outcome, Exception):
                self.end.set_exception(outcome)
            else:
                self.end.set_result(outcome)


_Slice = list[tuple[_Job, int]]
"""Jobs and numbers of their questions, to be read together."""


class SharedReader:
    """A :class:`ReadingPredictor` for any number of threads; one thread of its own uses the backbone.

    Each answer is what the predictor gives alone: its rows do not look at each other. Requests take turns, question by
    question, in slices of about ``PAUSE`` seconds. Nothing new is taken while ``waiting`` questions wait, of which no
    request has more than ``rows`` at a time; it keeps the others itself.
    """

    def __init__(self, predictor: ReadingPredictor, *, rows: int = 64, waiting: int = 256) -> None:
        self.predictor, self.backbone = predictor, predictor.backbone
        self.rows, self.most = rows, waiting
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="reader")
        self._line: deque[_Job] = deque()
        self._slice: _Slice = []
        self._speed = SPEED
        self._lock = threading.Lock()
        self._going = self._closed = False

    @property
    def running(self) -> int:
        """How many questions are being read."""
        return len(self._slice)

    @property
    def waiting(self) -> int:
        """How many questions wait for their turn."""
        with self._lock:
            return self._waiting()

    def for_request(self, terms: Terms) -> RequestReader:
        """The reader for one request, which is given up when its terms are broken."""
        return RequestReader(self, terms)

    def call(self, run: Callable[[], Value]) -> Value:
        """Run a function where the backbone may be used, between two slices; raises :class:`Closed`."""
        with self._lock:
            if self._closed:
                raise Closed("the reader takes no more requests")
            called = self._thread.submit(run)
        try:
            return called.result()
        except CancelledError:
            raise Closed("the reader was closed") from None

    def close(self) -> None:
        """Take nothing new and give up what waits and what is being read."""
        with self._lock:
            self._closed = True
            open_jobs = {*self._line, *(job for job, _ in self._slice)}
            self._line.clear()
            self._thread.shutdown(wait=False, cancel_futures=True)
        for job in open_jobs:
            job.settle(Closed("the reader was closed"))

    def read(self, questions: Sequence[Question], terms: Terms) -> tuple[list[Prediction], float]:
        """Answers to the questions, read together with those of other threads, and the seconds they waited their turn.

        Raises :class:`Full` and :class:`Closed`, the reason of terms that are broken as soon as they are, and what the
        predictor raises for these questions.
        """
        job = _Job(questions, terms)
        with self._lock:
            if self._closed:
                raise Closed("the reader takes no more requests")
            if self._waiting() >= self.most:
                raise Full(f"{self.most} questions wait already")
            self._line.append(job)
            self._go_on()
        try:
            # The one who asks gives up by itself: a large network may be busy with one batch for longer.
            while not wait([job.end], timeout=_LOOK).done:
                if (reason := terms.broken()) is not None:
                    raise reason
            return job.end.result(), job.queued or 0.0
        finally:
            with self._lock, suppress(ValueError):
                self._line.remove(job)

    def _waiting(self) -> int:
        return sum(min(len(job.left), self.rows) for job in self._line)

    def _go_on(self) -> None:
        """Have the next slice read, unless that is on its way; the lock is held."""
        if self._line and not self._going and not self._closed:
            self._going = True
            self._thread.submit(self._turn)

    def _turn(self) -> None:
        """One slice; the next one lines up behind what was called meanwhile."""
        with self._lock:
            self._slice = self._next()
        try:
            self._read(self._slice)
        finally:
            with self._lock:
                self._slice, self._going = [], False
                self._go_on()

    def _next(self) -> _Slice:
        """One question of each request in turn, as many as are read in ``PAUSE`` seconds and at least one."""
        taken: _Slice = []
        room = PAUSE * self._speed
        while self._line:
            job = self._line.popleft()
            room -= job.work[job.left[0]]
            if taken and room < 0:
                self._line.appendleft(job)
                break
            taken.append((job, job.take()))
            if job.left:
                self._line.append(job)
        return taken

    def _read(self, taken: _Slice) -> None:
        """Read questions together, those of each job alone where some fail: the fault of one is its own alone."""
        taken = [(job, number) for job, number in taken if job.wanted]
        jobs = dict.fromkeys(job for job, _ in taken)
        if not jobs:
            return

        def still_wanted(rows: int) -> None:  # heard after every batch
            if not any(job.wanted for job in jobs):
                raise _Unwanted

        questions = [job.questions[number] for job, number in taken]
        began = time.monotonic()
        try:
            found = self.predictor.predict(questions, watch=still_wanted)
        except _Unwanted:
            return
        except Exception as fault:
            if len(jobs) == 1:
                taken[0][0].settle(fault)
                return
            for job in jobs:
                self._read([one for one in taken if one[0] is job])
            return
        work = sum(job.work[number] for job, number in taken)
        self._speed = (self._speed + work / max(1e-6, time.monotonic() - began)) / 2
        for (job, number), one in zip(taken, found, strict=True):
            job.tell(number, one)


class _Unwanted(Exception):
    """Nobody waits any more for what is being read."""


def _work(question: Question) -> int:
    """Characters to be read: the text once for everything that its task asks."""
    return len(question.example.note) * len(asks_of(question.task, wording=question.wording))


@dataclass(slots=True)
class RequestReader:
    """What :class:`~clinprompt.inference.long_notes.LongNotes` asks for one request.

    ``queued`` are the seconds that the first of its questions waited for its turn.
    """

    shared: SharedReader
    terms: Terms
    queued: float | None = None

    @property
    def backbone(self):
        """The encoder."""
        return self.shared.backbone

    def predict(
        self, questions: Sequence[Question], *, watch: Callable[[int], None] = lambda rows: None
    ) -> list[Prediction]:
        """Predictions in the order of the questions."""
        if not questions:
            return []
        found, queued = self.shared.read(questions, self.terms)
        self.queued = queued if self.queued is None else self.queued
        watch(len(questions))
        return found

    def fits(self, question: Question) -> bool:
        """Whether there is room for the question; raises the reason of broken terms, since windows take many looks."""
        if (reason := self.terms.broken()) is not None:
            raise reason
        return self.shared.predictor.fits(question)

    def possible(self, question: Question) -> None:
        """No closed list: any places may be right."""

    def likeliest(self, questions: Sequence[Question]) -> list[None]:
        """``None`` for each."""
        return [None] * len(questions)

    def sureness(self, questions: Sequence[Question], given: Sequence[Prediction]) -> list[float]:
        """The best score among what was found in each."""
        return self.shared.predictor.sureness(questions, given)
