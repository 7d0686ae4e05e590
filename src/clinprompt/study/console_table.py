"""The table of a job as plain columns and rows for a terminal."""

from __future__ import annotations

from collections.abc import Sequence

from clinprompt.study.score_table import Entry, score_table
from clinprompt.study.table import Line


def console_table(lines: Sequence[Line]) -> tuple[list[str], list[list[str]]]:
    """Columns and rows for ``Console.table``: a row per method and shot count, a column per target.

    Cells read ``62.1 [55.0–68.7]``: score and 95 % interval in percent. ``trainable`` is the number of
    trained parameters per target, the largest when targets differ.
    """
    table = score_table(lines)
    columns = [
        "method",
        "shots",
        *(f"{column.target} ({column.metric})" for column in table.columns),
        "trainable",
    ]
    rows = []
    for block in table.blocks:
        for row in block.rows:
            trainable = max(entry.line.trainable for entry in row.entries if entry)
            rows.append([row.method, row.shots, *map(_cell, row.entries), f"{trainable:,}"])
    return columns, rows


def _cell(entry: Entry | None) -> str:
    if entry is None:
        return "–"
    return f"{entry.line.score:.1f} [{entry.line.low:.1f}–{entry.line.high:.1f}]"
