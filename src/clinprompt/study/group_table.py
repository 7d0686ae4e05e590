"""Scores averaged over the targets of a group, such as near and far: a line per method, group and shot count."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from clinprompt.metrics.intervals import mean_of_parts, stretched_interval
from clinprompt.study.pair import mean_variations
from clinprompt.study.replicates import Place, Replicates
from clinprompt.study.score_table import TRIVIAL, shot_order, shots_title
from clinprompt.study.table import Line

ALL = "all"
"""Name of the group of every target, there when targets are of several groups or of none."""
ACROSS = "across"
"""Name of the group of lines for other tasks than the one trained on: no targets, and in no mean but their own."""


@dataclass(frozen=True, slots=True)
class GroupLine:
    """The mean of a method's scores over a group's targets, in percent, every target with the same weight.

    Interval: documents are drawn within each target, and runs as a second level, as for the targets themselves.
    ``n`` examples, ``documents`` and ``leakage`` are summed over the targets; ``trainable`` is the largest of them.
    """

    method: str
    group: str
    shots: str
    score: float
    low: float
    high: float
    targets: int
    n: int
    documents: int
    seeds: int
    draws: int
    trainable: int
    leakage: int = 0


@dataclass(frozen=True, slots=True)
class Missing:
    """A mean that is not given, and the targets of the group that have no score."""

    method: str
    group: str
    shots: str
    targets: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.method}, {self.group}, {shots_title(self.shots)}: no score for {', '.join(self.targets)}"


@dataclass(frozen=True, slots=True)
class GroupRow:
    """One method at one shot count, a line or nothing for each group."""

    method: str
    shots: str
    entries: tuple[GroupLine | None, ...]


@dataclass(frozen=True, slots=True)
class GroupTable:
    """The targets of each group, the lines of methods that have all of them, and what is missing."""

    groups: Mapping[str, tuple[str, ...]]
    lines: tuple[GroupLine, ...]
    missing: tuple[Missing, ...] = ()

    def rows(self) -> list[GroupRow]:
        """The lines as a grid: the trivial baseline first, then shot counts going up, methods in their order."""
        at = {(line.method, line.shots, line.group): line for line in self.lines}
        order = shot_order(line.shots for line in self.lines)
        places = dict.fromkeys((line.method, line.shots) for line in self.lines)
        return [
            GroupRow(method, shots, tuple(at.get((method, shots, group)) for group in self.groups))
            for method, shots in sorted(places, key=lambda place: -1 if place[0] == TRIVIAL else order.index(place[1]))
        ]


def group_table(lines: Sequence[Line], drawn: Mapping[Place, Replicates]) -> GroupTable:
    """The means over each group of targets of which the lines have any, with the resamples ``drawn`` of each line."""
    groups = _groups(lines)
    at = {(line.method, line.shots, line.target): line for line in lines}
    found, missing = [], []
    for method, shots in dict.fromkeys((line.method, line.shots) for line in lines):
        for group, targets in groups.items():
            own = [at[method, shots, target] for target in targets if (method, shots, target) in at]
            if len(own) == len(targets):
                found.append(_line(group, own, drawn))
            elif own:
                lacking = tuple(target for target in targets if (method, shots, target) not in at)
                missing.append(Missing(method, group, shots, lacking))
    return GroupTable(groups, tuple(found), tuple(missing))


def _groups(lines: Sequence[Line]) -> dict[str, tuple[str, ...]]:
    group_of = {line.target: line.group for line in lines}
    names = dict.fromkeys(group_of.values())
    groups = {name: tuple(target for target, own in group_of.items() if own == name) for name in names if name}
    targets = {target: group for target, group in group_of.items() if group != ACROSS}
    if len(set(targets.values())) > 1 or "" in targets.values():
        groups[ALL] = tuple(targets)
    return groups


def _line(group: str, own: Sequence[Line], drawn: Mapping[Place, Replicates]) -> GroupLine:
    parts = [drawn[line.method, line.target, line.shots] for line in own]
    score = statistics.fmean(line.score for line in own)
    low, high = stretched_interval(
        mean_of_parts([part.values for part in parts]),
        mean_variations([part.variations for part in parts]),
        centre=score,
    )
    return GroupLine(
        method=own[0].method,
        group=group,
        shots=own[0].shots,
        score=score,
        low=low,
        high=high,
        targets=len(own),
        n=sum(line.n for line in own),
        documents=sum(line.documents for line in own),
        seeds=min(line.seeds for line in own),
        draws=min(line.draws for line in own),
        trainable=max(line.trainable for line in own),
        leakage=sum(line.leakage for line in own),
    )
