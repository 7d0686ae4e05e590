"""Relations as they are scored given the annotated heads: what the second pass of an encoder does by itself."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from clinprompt.stages.scores import COUNTS, GIVEN_HEADS, GOLD_HEADS
from clinprompt.study.table import Cell, Line, by_place


def given_heads(cells: Sequence[Cell]) -> list[Cell]:
    """The cells of lines that were scored given the heads as well, in every run of theirs, as scored so."""
    return [
        replace(cell, record=_given(cell), folder=cell.folder / GOLD_HEADS)
        for own in by_place(cells).values()
        if all((cell.folder / GOLD_HEADS / COUNTS).is_file() for cell in own)
        for cell in own
    ]


def _given(cell: Cell) -> dict:
    scores, report = cell.record["gold_heads"], cell.record["gold_heads_report"]
    return cell.record | {"scores": scores, "report": report, "heads": GIVEN_HEADS}


def in_pairs(lines: Sequence[Line], given: Sequence[Line]) -> list[tuple[Line, Line]]:
    """Each line of the table that is scored given the heads as well, and that one beside it."""
    at = {(line.method, line.target, line.shots): line for line in lines}
    return [(at[line.method, line.target, line.shots], line) for line in given]
