"""Scores of an evaluate run that runs before it have: of cells that are the same ones, on the same examples."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from clinprompt.stages.adapted import Adapted, cell_key, read_adapted
from clinprompt.stages.atomic import plain, write_json
from clinprompt.stages.earlier import (
    DAMAGED,
    TAKEN,
    Earlier,
    counts_by_run,
    earlier_runs,
    same_files,
    take,
    taken_entries,
)
from clinprompt.stages.run_folder import RunFolder
from clinprompt.stages.scores import read_scores

CELLS = ("adapted", "targets", "elsewhere")
"""The settings of an evaluate run that say which cells there are; on whose examples, its inputs do."""


def taken_scores(
    run: RunFolder, outputs: Path, cells: Sequence[Adapted], *, tasks: Collection[str], together: bool
) -> dict[str, Any]:
    """By key the records of the cells that a finished run has scored alike; their predictions are here too.

    They are cells that the adapt run with these ``outputs`` has from another one, where their records and files are
    still the same there, byte for byte. ``tasks`` are all of the run's. Of processes that score ``together`` the first
    decides, and all must call this.
    """
    if run.writes:
        write_json(run.path / TAKEN, {"cells": _take(run, outputs, cells, tasks)})
    if together:
        run.processes.gather(0)
    return {entry["key"]: entry["record"] for entry in taken_entries(run.path)}


def _take(run: RunFolder, outputs: Path, cells: Sequence[Adapted], tasks: Collection[str]) -> list[dict[str, Any]]:
    wanted, found = {cell.key: cell for cell in cells}, []
    givers = counts_by_run(outputs.parent)
    if not givers:
        return []
    for earlier in earlier_runs(
        run, cells=CELLS, tasks=tasks, wanted=lambda inputs: Path(inputs["adapted"]["path"]).name in givers
    ):
        for key, record in _records(earlier, outputs, wanted).items():
            if take(earlier.outputs / key, run.outputs / key):
                found.append({"run": earlier.path.name, "key": key, "record": record})
                del wanted[key]
                run.log(f"{key}: scored before, taken from run {earlier.path.name}")
    return found


def _records(earlier: Earlier, outputs: Path, wanted: Mapping[str, Adapted]) -> dict[str, dict[str, Any]]:
    """The scores of the wanted cells that are the same ones in the earlier run; none where that cannot be seen."""
    try:
        before = earlier.input("adapted") / "outputs"
        same = {cell.key for cell in read_adapted(before) if _same(cell, before, wanted.get(cell.key), outputs)}
        scored = {cell_key(one["task"], one["shots"], one["draw"]): one for one in read_scores(earlier.path)}
        return {key: one for key, one in scored.items() if key in same and one["task"] in earlier.tasks}
    except DAMAGED:
        return {}


def _same(cell: Adapted, there: Path, mine: Adapted | None, here: Path) -> bool:
    if mine is None or plain(asdict(cell)) != plain(asdict(mine)):
        return False
    return not mine.file or same_files(there / mine.key, here / mine.key)
