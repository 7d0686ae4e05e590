"""Error tables for the report: per target those of the best method's first run at the largest shot count."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from clinprompt.evaluation.errors_table import ErrorItem, ErrorLine
from clinprompt.stages.error_files import read_error_items, read_errors
from clinprompt.study.examples_shown import best_run
from clinprompt.study.score_table import TRIVIAL
from clinprompt.study.table import Cell, Line

ITEMS = 20
"""Mistakes of a target that the report lists; all of them stand in the run's own file."""


@dataclass(frozen=True, slots=True)
class ShownErrors:
    """The error lines of one run on one target, in the order of the task's labels, and the first of ``mistakes``.

    ``leakage`` is that of the line of the table whose run it is.
    """

    target: str
    method: str
    shots: str
    lines: tuple[ErrorLine, ...]
    items: tuple[ErrorItem, ...] = ()
    mistakes: int = 0
    leakage: int = 0


def choose_errors(cells: Sequence[Cell], table: Sequence[Line]) -> list[ShownErrors]:
    """One table per target in the order of the cells, whose lines are those of ``table``.

    Targets of free text, which have no error table, are left out.
    """
    leakage = {(line.method, line.target, line.shots): line.leakage for line in table}
    shown = []
    for target in dict.fromkeys(cell.record["task"] for cell in cells):
        cell = best_run([cell for cell in cells if cell.record["task"] == target and cell.method != TRIVIAL])
        lines = read_errors(cell.folder) if cell else []
        if cell and lines:
            items = read_error_items(cell.folder)
            shots = str(cell.record["shots"])
            seen = leakage.get((cell.method, target, shots), 0)
            shown.append(ShownErrors(target, cell.method, shots, tuple(lines), tuple(items[:ITEMS]), len(items), seen))
    return shown
