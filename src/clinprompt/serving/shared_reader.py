"""Encoders under load: the questions of all waiting requests are read together."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TypeVar

from clinprompt.inference.predictor import Question
from clinprompt.inference.reading import ReadingPredictor
from clinprompt.schema.prediction import Prediction

Value = TypeVar("Value")


@dataclass(slots=True)
class _Job:
    questions: Sequence[Question]
    cancelled: threading.Event
    found: Future[list[Prediction]] = field(default_factory=Future)


class SharedReader:
    """A :class:`ReadingPredictor` for any number of threads; one thread of its own uses the backbone.

    Each answer is what the predictor gives alone: its rows do not look at each other.
    """

    def __init__(self, predictor: ReadingPredictor) -> None:
        self.predictor, self.backbone = predictor, predictor.backbone
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="reader")
        self._waiting: list[_Job] = []
        self._lock = threading.Lock()

    def for_request(self, cancelled: threading.Event) -> RequestReader:
        """The reader for one request, which is given up when ``cancelled`` is set."""
        return RequestReader(self, cancelled)

    def call(self, run: Callable[[], Value]) -> Value:
        """Run a function where the backbone may be used."""
        return self._thread.submit(run).result()

    def close(self) -> None:
        """Give up what waits."""
        with self._lock:
            waiting, self._waiting = self._waiting, []
        for job in waiting:
            job.found.set_exception(CancelledError())
        self._thread.shutdown(wait=False, cancel_futures=True)

    def read(self, questions: Sequence[Question], cancelled: threading.Event) -> list[Prediction]:
        """Answers to the questions, read together with those of other threads; waits for them."""
        job = _Job(questions, cancelled)
        with self._lock:
            self._waiting.append(job)
        self._thread.submit(self._round)
        return job.found.result()

    def _round(self) -> None:
        """Read everything that waits; of several calls the first does the work of all."""
        with self._lock:
            waiting, self._waiting = self._waiting, []
        jobs = []
        for job in waiting:
            if job.cancelled.is_set():
                job.found.set_exception(CancelledError())
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


@dataclass(frozen=True, slots=True)
class RequestReader:
    """What :class:`~clinprompt.inference.long_notes.LongNotes` asks for one request."""

    shared: SharedReader
    cancelled: threading.Event

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
        found = self.shared.read(questions, self.cancelled)
        watch(len(questions))
        return found

    def fits(self, question: Question) -> bool:
        """Whether there is room for the question."""
        return self.shared.predictor.fits(question)

    def possible(self, question: Question) -> None:
        """No closed list: any places may be right."""

    def likeliest(self, questions: Sequence[Question]) -> list[None]:
        """``None`` for each."""
        return [None] * len(questions)

    def sureness(self, questions: Sequence[Question], given: Sequence[Prediction]) -> list[float]:
        """The best score among what was found in each."""
        return self.shared.predictor.sureness(questions, given)
