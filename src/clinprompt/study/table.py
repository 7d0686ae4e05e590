"""Scores of many runs as one table: a row per method, target and shot count, never without n, seeds and spread."""

from __future__ import annotations

import json
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from clinprompt.metrics import METRICS
from clinprompt.metrics.intervals import pooled_interval
from clinprompt.metrics.runs import levels
from clinprompt.stages.scores import COUNTS
from clinprompt.tasks.task import Task


@dataclass(frozen=True, slots=True)
class Line:
    """One line of the table; scores in percent, the interval over documents, seeds and draws together.

    ``spread`` is the standard deviation over the runs (0 for one run). ``unreadable`` and ``unlocated`` are
    answers or items per hundred examples that could not be read, or whose words are not in the note.
    ``metric`` of relations that an encoder reads says whether they are end to end or given the heads.
    ``leakage`` is how many of the ``n`` examples stand, wholly or in part, in what the method was trained on.
    ``shown`` is the mean number of examples before the note (in-context), ``source`` the tasks whose prompts the runs
    began with (spot).
    """

    method: str
    target: str
    kind: str
    group: str
    metric: str
    shots: str
    score: float
    low: float
    high: float
    spread: float
    n: int
    documents: int
    seeds: int
    draws: int
    trainable: int
    unreadable: float
    unlocated: float
    leakage: int = 0
    shown: float | None = None
    source: str = ""


@dataclass(frozen=True, slots=True)
class Cell:
    """One scored cell of a run: its record in ``scores.json`` and the folder with counts and predictions."""

    method: str
    seed: int
    record: dict[str, Any]
    folder: Path

    @property
    def run(self) -> tuple[int, int]:
        """Seed and few-shot draw: runs of two methods with the same ones trained on the same examples."""
        return (self.seed, self.record["draw"])

    @property
    def place(self) -> tuple[str, str, str]:
        """Which line of the table the cell belongs to."""
        return (self.method, self.record["task"], self.record["shots"])

    def counts(self, metric: str) -> np.ndarray:
        """Per-document counts ``[G, C]`` of one metric, in the order of the documents' names."""
        content = json.loads((self.folder / COUNTS).read_text(encoding="utf-8"))[metric]
        return np.array([content[name] for name in sorted(content)])


def by_place(cells: Sequence[Cell]) -> dict[tuple[str, str, str], list[Cell]]:
    """The cells of each line in the order of the lines, runs in the order of seeds and draws."""
    places: dict[tuple[str, str, str], list[Cell]] = {}
    for cell in cells:
        places.setdefault(cell.place, []).append(cell)
    return {place: sorted(own, key=lambda cell: cell.run) for place, own in places.items()}


def lines(cells: Sequence[Cell], tasks: dict[str, Task], *, resamples: int = 10_000) -> list[Line]:
    """The table's lines in the order of the cells."""
    return [_line(own, tasks[target], resamples=resamples) for (_, target, _), own in by_place(cells).items()]


def _line(cells: Sequence[Cell], task: Task, *, resamples: int) -> Line:
    name = task.metrics[0]
    metric = METRICS[name](task.labels)
    counts = np.stack([cell.counts(name) for cell in cells])  # [S, G, C]
    values = [float(metric.value(run.sum(axis=0))) for run in counts]
    made_of = levels([cell.run for cell in cells])
    low, high = pooled_interval(counts, metric.value, made_of=made_of, resamples=resamples)
    record = cells[0].record
    n = record["scores"][0]["n"]
    reports = [cell.record["report"] for cell in cells]
    shown = [count for cell in cells if (count := cell.record.get("shown")) is not None]
    per_hundred = 100.0 / (n * len(cells))
    return Line(
        method=cells[0].method,
        target=task.name,
        kind=task.kind.value,
        group=task.group,
        metric=f"{name} {record.get('heads', '')}".strip(),
        shots=str(record["shots"]),
        score=statistics.fmean(values),
        low=low,
        high=high,
        spread=statistics.stdev(values) if len(values) > 1 else 0.0,
        n=n,
        documents=counts.shape[1],
        seeds=len({cell.seed for cell in cells}),
        draws=len({cell.record["draw"] for cell in cells}),
        trainable=max(cell.record["trainable"] for cell in cells),
        unreadable=per_hundred * sum(report["unreadable"] for report in reports),
        unlocated=per_hundred * sum(report["unlocated"] for report in reports),
        shown=statistics.fmean(shown) if shown else None,
        source="; ".join(sorted({found for cell in cells if (found := cell.record.get("source"))})),
    )
