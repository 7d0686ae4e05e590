"""Predictions of one task to its metrics, each with interval and n, and what could not be read or found."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from clinprompt.errors import InputError
from clinprompt.metrics import METRICS
from clinprompt.metrics.scoring import group_counts, score
from clinprompt.schema.example import Example
from clinprompt.schema.prediction import DecodeReport, Prediction
from clinprompt.schema.scores import Score
from clinprompt.tasks.task import Task


@dataclass(frozen=True, slots=True)
class TaskScores:
    """A task's scores, primary metric first, and the summed report of its predictions."""

    scores: tuple[Score, ...]
    report: DecodeReport

    @property
    def primary(self) -> Score:
        """The score of the task's first metric."""
        return self.scores[0]

    def record(self) -> dict[str, Any]:
        """As plain values for JSON."""
        return {"scores": [asdict(score) for score in self.scores], "report": asdict(self.report)}


def check_metrics(task: Task) -> None:
    """Raise :class:`InputError` for a metric that does not exist or cannot be used here, before any prediction."""
    for name in task.metrics:
        try:
            METRICS[name](task.labels)
        except InputError as fault:
            where = f"metrics of task {task.name}" + (f", {fault.where}" if fault.where else "")
            raise InputError(fault.what, where=where, allowed=fault.allowed, fix=fault.fix) from None


def score_task(
    task: Task,
    examples: Sequence[Example],
    predictions: Sequence[Prediction],
    *,
    resamples: int = 10_000,
    seed: int = 0,
) -> TaskScores:
    """All metrics of a task with document-clustered 95 % bootstrap intervals.

    Answers that could not be read count as wrong in every metric; how many there were is in the report.
    """
    scores = tuple(
        score(METRICS[name](task.labels), examples, predictions, resamples=resamples, seed=seed)
        for name in task.metrics
    )
    return TaskScores(scores, sum((prediction.report for prediction in predictions), DecodeReport()))


def task_counts(
    task: Task, examples: Sequence[Example], predictions: Sequence[Prediction]
) -> dict[str, dict[str, list[float]]]:
    """Per metric the additive counts of every group, from which all intervals and tests can be made again."""
    found = {}
    for name in task.metrics:
        counts, groups = group_counts(METRICS[name](task.labels), examples, predictions)
        found[name] = {group: row.tolist() for group, row in zip(groups, counts, strict=True)}
    return found
