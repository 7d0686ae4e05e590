"""The tables of a job as plain columns and rows for a terminal."""

from __future__ import annotations

from collections.abc import Sequence

from clinprompt.study.difference import Difference
from clinprompt.study.group_table import GroupLine, GroupTable
from clinprompt.study.legend import mark
from clinprompt.study.score_table import score_table
from clinprompt.study.table import Line


def console_table(lines: Sequence[Line]) -> tuple[list[str], list[list[str]]]:
    """Columns and rows for ``Console.table``: a row per method and shot count, a column per target.

    Cells read ``62.1 [55.0–68.7]``: score and 95 % interval in percent; ``†`` behind it marks leakage. ``trainable``
    is the number of trained parameters per target, the largest when targets differ.
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
            rows.append(
                [row.method, row.shots, *(_cell(entry and entry.line) for entry in row.entries), f"{trainable:,}"]
            )
    return columns, rows


def console_groups(table: GroupTable) -> tuple[list[str], list[list[str]]]:
    """Columns and rows for ``Console.table``: a row per method and shot count, a column per group of targets."""
    counts = {group: len(targets) for group, targets in table.groups.items()}
    columns = ["method", "shots", *(f"{group} ({count})" for group, count in counts.items())]
    return columns, [[row.method, row.shots, *map(_cell, row.entries)] for row in table.rows()]


def console_differences(differences: Sequence[Difference]) -> tuple[list[str], list[list[str]]]:
    """Columns and rows for ``Console.table``: the differences by group; those of single targets are in the files."""
    columns = ["group", "shots", "method", "minus", "points", "p", "targets + = −", "p targets", "Holm", "verdict"]
    rows = [
        [
            found.group,
            found.shots,
            found.method,
            found.minus,
            f"{found.difference:+z.1f} [{found.low:+z.1f} to {found.high:+z.1f}]{mark(found)}",
            p_text(found.p),
            f"{found.wins} {found.ties} {found.losses}",
            p_text(found.p_tasks),
            p_text(found.p_holm),
            found.verdict,
        ]
        for found in differences
        if not found.target
    ]
    return columns, rows


def p_text(p: float | None) -> str:
    """A p-value as papers print it.

    >>> [p_text(p) for p in (0.6, 0.0312, 0.00004, None)]
    ['0.60', '0.031', '<0.001', '–']
    """
    if p is None:
        return "–"
    return "<0.001" if p < 0.001 else f"{p:.3f}" if p < 0.1 else f"{p:.2f}"


def _cell(line: Line | GroupLine | None) -> str:
    if line is None:
        return "–"
    return f"{line.score:.1f} [{line.low:.1f}–{line.high:.1f}]{mark(line)}"
