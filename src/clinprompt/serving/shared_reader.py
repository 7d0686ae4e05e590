"""Encoders under load: the questions of all waiting requests are read together."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from typing import TypeVar

from clinprompt.inference.engines.ticket import Terms
from clinprompt.inference.engines.unanswered import Cancelled
from clinprompt.inference.predictor import Question
from clinprompt.inference.reading import ReadingPredictor
from clinprompt.schema.prediction import Prediction

Value = TypeVar("Value")

PORTION = 64
"""Questions of one request that are read at once: between two portions others have their turn, and it may be given up.
"""

LOOK = 0.1
"""Seconds between two looks at whether an answer is still wanted."""


@dataclass(slots=True)
class _Job:
    questions: Sequence[Question]
    terms: Terms
    found: Future[list[Prediction]] = field(default_factory=Future)
    began: float = field(default_factory=time.monotonic)
    queued: float = 0.0


class SharedReader:
    """A :class:`ReadingPredictor` for any number of threads; one thread of its own uses the backbone.

    Each answer is what the predictor gives alone: its rows do not look at each other.
    """

    def __init__(self, predictor: ReadingPredictor) -> None:
        self.predictor, self.backbone = predictor, predictor.backbone
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="reader")
        self._waiting: list[_Job] = []
        self._lock = threading.Lock()

    def for_request(self, terms: Terms) -> RequestReader:
        """The reader for one request, which is given up when its terms are broken."""
        return RequestReader(self, terms)

    def call(self, run: Callable[[], Value]) -> Value:
        """Run a function where the backbone may be used."""
        return self._thread.submit(run).result()

    def close(self) -> None:
        """Give up what waits."""
        with self._lock:
            waiting, self._waiting = self._waiting, []
        for job in waiting:
            job.found.set_exception(Cancelled("the reader was closed"))
        self._thread.shutdown(wait=False, cancel_futures=True)

    def read(self, questions: Sequence[Question], terms: Terms) -> tuple[list[Prediction], float]:
        """Answers to the questions, read together with those of other threads, and the seconds they waited their turn.

        Waits for them; raises :class:`Expired` and :class:`Cancelled` when the terms are broken before.
        """
        job = _Job(questions, terms)
        with self._lock:
            self._waiting.append(job)
        try:
            self._thread.submit(self._round)
        except RuntimeError:
            raise Cancelled("the reader was closed") from None
        while not wait([job.found], timeout=LOOK).done:
            terms.check()
        return job.found.result(), job.queued

    def _round(self) -> None:
        """Read everything that waits; of several calls the first does the work of all."""
        with self._lock:
            waiting, self._waiting = self._waiting, []
        jobs = []
        for job in waiting:
            job.queued = time.monotonic() - job.began
            if (reason := job.terms.broken()) is not None:
                job.found.set_exception(reason)
            else:
                jobs.append(job)
        if not jobs:
            return
        try:
            found = iter(self.predictor.predict([one for job in jobs for one in job.questions]))
        except Exception as fault:
            self._one_by_one(jobs, fault)
            return
        for job in jobs:
            job.found.set_result([next(found) for _ in job.questions])

    def _one_by_one(self, jobs: Sequence[_Job], fault: Exception) -> None:
        """Let the fault of one request be that request's alone."""
        if len(jobs) == 1:
            jobs[0].found.set_exception(fault)
            return
        for job in jobs:
            try:
                job.found.set_result(self.predictor.predict(job.questions))
            except Exception as own:
                job.found.set_exception(own)


@dataclass(slots=True)
class RequestReader:
    """What :class:`~clinprompt.inference.long_notes.LongNotes` asks for one request.

    ``queued`` are the seconds that its first question waited for its turn.
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
        found: list[Prediction] = []
        for at in range(0, len(questions), PORTION):
            some, queued = self.shared.read(questions[at : at + PORTION], self.terms)
            self.queued = queued if self.queued is None else self.queued
            found += some
            watch(len(some))
        return found

    def fits(self, question: Question) -> bool:
        """Whether there is room for the question."""
        self.terms.check()
        return self.shared.predictor.fits(question)

    def possible(self, question: Question) -> None:
        """No closed list: any places may be right."""

    def likeliest(self, questions: Sequence[Question]) -> list[None]:
        """``None`` for each."""
        return [None] * len(questions)

    def sureness(self, questions: Sequence[Question], given: Sequence[Prediction]) -> list[float]:
        """The best score among what was found in each."""
        return self.shared.predictor.sureness(questions, given)
