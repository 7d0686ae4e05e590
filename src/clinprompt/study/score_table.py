"""The table's lines as a grid: rows are methods × shots, columns are targets ordered by kind."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from clinprompt.schema.example import TaskKind
from clinprompt.study.table import Line

TRIVIAL = "trivial"
"""Method name of the baseline without a model."""

_KINDS = [kind.value for kind in TaskKind]


@dataclass(frozen=True, slots=True)
class Column:
    """One target: its name, kind, metric and group (such as near or far)."""

    target: str
    kind: str
    metric: str
    group: str


@dataclass(frozen=True, slots=True)
class Entry:
    """A line in its place. ``best``: highest of its shot count; ``low_mark``: not above the trivial baseline."""

    line: Line
    best: bool
    low_mark: bool


@dataclass(frozen=True, slots=True)
class Row:
    """One method at one shot count, an entry or nothing for each column."""

    method: str
    shots: str
    entries: tuple[Entry | None, ...]


@dataclass(frozen=True, slots=True)
class Block:
    """Rows that may be compared with each other: those of one shot count; the trivial baseline stands alone."""

    title: str
    rows: tuple[Row, ...]


@dataclass(frozen=True, slots=True)
class ScoreTable:
    """Columns and blocks of rows."""

    columns: tuple[Column, ...]
    blocks: tuple[Block, ...]

    @property
    def kinds(self) -> list[tuple[str, int]]:
        """Each kind with the number of its columns, in their order."""
        names = [column.kind for column in self.columns]
        return [(kind, names.count(kind)) for kind in dict.fromkeys(names)]


def score_table(lines: Sequence[Line]) -> ScoreTable:
    """The lines as a grid; methods keep their order, shot counts go up to ``full``, kinds stand together."""
    # The first line with a model names the metric: it says how relations were scored.
    named = sorted(reversed(lines), key=lambda line: line.method != TRIVIAL)
    found = {line.target: Column(line.target, line.kind, line.metric, line.group) for line in named}
    order = dict.fromkeys(line.target for line in lines)
    columns = sorted((found[name] for name in order), key=lambda column: _KINDS.index(column.kind))
    at = {(line.method, line.shots, line.target): line for line in lines}
    floor = {line.target: line.score for line in lines if line.method == TRIVIAL}
    rivals: dict[tuple[str, str], list[float]] = {}
    for line in lines:
        if line.method != TRIVIAL:
            rivals.setdefault((line.shots, line.target), []).append(_shown(line.score))

    def entry(line: Line | None) -> Entry | None:
        if line is None or line.method == TRIVIAL:
            return line and Entry(line, best=False, low_mark=False)
        scores = rivals[line.shots, line.target]
        best = len(scores) > 1 and _shown(line.score) == max(scores)
        return Entry(line, best, low_mark=_shown(line.score) <= _shown(floor.get(line.target, -1.0)))

    def row(method: str, shots: str) -> Row:
        return Row(method, shots, tuple(entry(at.get((method, shots, column.target))) for column in columns))

    places = list(dict.fromkeys((line.method, line.shots) for line in lines))
    blocks = [Block("no model", tuple(row(*place) for place in places if place[0] == TRIVIAL))]
    blocks += [
        Block(
            shots_title(shots),
            tuple(row(*place) for place in places if place[0] != TRIVIAL and place[1] == shots),
        )
        for shots in shot_order(line.shots for line in lines)
    ]
    return ScoreTable(tuple(columns), tuple(block for block in blocks if block.rows))


def shot_order(shots: Iterable[str]) -> list[str]:
    """The different shot counts from few to many, ``full`` last.

    >>> shot_order(["full", "10", "5", "5"])
    ['5', '10', 'full']
    """
    return sorted(set(shots), key=shot_rank)


def shot_rank(shots: str) -> float:
    """A number that grows with the shot count; ``full`` is above all."""
    return float("inf") if shots == "full" else float(shots)


def shots_title(shots: str) -> str:
    """The shot count in words."""
    return {"full": "all training examples", "1": "1 shot"}.get(shots, f"{shots} shots")


def _shown(score: float) -> float:
    """Scores are compared as they are printed: what looks equal is equal."""
    return round(score, 1)
