"""Teachers that runs before it have: with one more source, one is trained."""

from __future__ import annotations

import json
from collections.abc import Collection
from typing import Any

from clinprompt.stages.earlier import DAMAGED, Earlier, earlier_runs, take, taken_once
from clinprompt.stages.run_folder import RunFolder

CELLS = ("sources",)
"""The setting of a teach run that says which teachers there are and nothing of how one is trained."""


def taken_teachers(run: RunFolder, *, tasks: Collection[str]) -> dict[str, dict[str, Any]]:
    """By task the summary's row of a teacher that a finished run has of the same settings, notes and backbone.

    Their files are here too. A teacher's training depends on no other one's. ``tasks`` are all of the run's. See
    :func:`taken_once`.
    """
    return {entry["task"]: entry["row"] for entry in taken_once(run, lambda: _take(run, tasks))}


def _rows(earlier: Earlier) -> dict[str, dict[str, Any]]:
    try:
        summary = json.loads((earlier.path / "done.json").read_text(encoding="utf-8"))["summary"]
        return {task: dict(row) for task, row in summary["teachers"].items() if task in earlier.tasks}
    except DAMAGED:
        return {}


def _take(run: RunFolder, tasks: Collection[str]) -> list[dict[str, Any]]:
    wanted, found = set(tasks), []
    for earlier in earlier_runs(run, cells=CELLS, tasks=tasks):
        for task, row in _rows(earlier).items():
            file = f"{task}.safetensors"
            if task in wanted and take(earlier.outputs / file, run.outputs / file):
                found.append({"run": earlier.path.name, "task": task, "row": row})
                wanted.remove(task)
                run.log(f"{task}: taught before, taken from run {earlier.path.name}")
    return found
