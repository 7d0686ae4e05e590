"""Scored cells with counts given by hand."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from clinprompt.study.table import Cell
from clinprompt.tasks.task import Task


def made_cell(
    folder: Path,
    task: Task,
    method: str,
    seed: int,
    counts: Mapping[str, Sequence[float]],
    *,
    draw: int = 0,
    shots: str = "5",
) -> Cell:
    """A cell of the task's first metric: counts by document."""
    own = folder / f"{task.name}-{method}-{seed}-{draw}-{shots}"
    own.mkdir()
    (own / "counts.json").write_text(json.dumps({task.metrics[0]: counts}))
    record = {
        "task": task.name, "shots": shots, "draw": draw, "trainable": 10,
        "scores": [{"metric": task.metrics[0], "n": len(counts)}], "report": {"unreadable": 0, "unlocated": 0},
    }  # fmt: skip
    return Cell(method, seed, record, own)
