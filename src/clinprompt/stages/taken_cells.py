"""Cells of an adapt run that runs before it have: of a study that grew, what was there already."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import asdict
from typing import Any

from clinprompt.stages.adapted import Adapted, Plan, read_adapted
from clinprompt.stages.earlier import DAMAGED, Earlier, earlier_runs, take, taken_once
from clinprompt.stages.run_folder import RunFolder

CELLS = ("targets", "shots", "draws", "first_draw")
"""The settings of an adapt run that say which cells there are and nothing of how one is trained."""


def taken_cells(run: RunFolder, plans: Sequence[Plan], *, tasks: Collection[str]) -> dict[str, Adapted]:
    """By key the cells that a finished run has of the same settings, examples and backbone; their files are here too.

    A cell's training depends on no other cell of its gang, so more targets, shots or draws change nothing for those
    that are there. ``tasks`` are all of the run's. Failed cells are tried again. See :func:`taken_once`.
    """
    entries = taken_once(run, lambda: _take(run, plans, tasks))
    return {(cell := Adapted(**entry["cell"])).key: cell for entry in entries}


def _cells(earlier: Earlier) -> list[Adapted]:
    try:
        return read_adapted(earlier.outputs)
    except DAMAGED:
        return []


def _take(run: RunFolder, plans: Sequence[Plan], tasks: Collection[str]) -> list[dict[str, Any]]:
    wanted = {plan.cell.name: plan.prepared.task.name for plan in plans}
    found = []
    for earlier in earlier_runs(run, cells=CELLS, tasks=tasks):
        for cell in _cells(earlier):
            if cell.failed or wanted.get(cell.key) not in earlier.tasks:
                continue
            if cell.file and not take(earlier.outputs / cell.key, run.outputs / cell.key):
                continue
            found.append({"run": earlier.path.name, "cell": asdict(cell)})
            del wanted[cell.key]
            run.log(f"{cell.key}: trained before, taken from run {earlier.path.name}")
    return found
