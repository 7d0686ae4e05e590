"""Methods ranked over the targets of a group: a row per group and shot count."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from clinprompt.metrics.rankings import cliques, ranking
from clinprompt.study.group_table import GroupTable
from clinprompt.study.score_table import TRIVIAL, shot_order
from clinprompt.study.table import Line

FEWEST_TARGETS = 5
"""With fewer targets nothing could be significant, and Friedman's approximation is poor."""


@dataclass(frozen=True, slots=True)
class RankLine:
    """The mean rank of a method over the targets of a group at one shot count, 1 the best.

    Beside it, the same for all methods of a group and shot count: ``p`` of Friedman's test that all are alike, and
    Nemenyi's ``critical_difference`` at 5 %. ``alike`` are the methods that cannot be told apart from this one.
    ``leakage`` is summed over the targets; the ranks of the other methods rest on these scores too.
    """

    group: str
    shots: str
    method: str
    rank: float
    methods: int
    targets: int
    p: float
    critical_difference: float
    alike: tuple[str, ...]
    leakage: int = 0


def rank_table(lines: Sequence[Line], groups: GroupTable) -> list[RankLine]:
    """The ranks in every group of five targets or more, best first, of the methods that have a score for all of them.

    Groups and shot counts with fewer than three such methods are left out, and so is the trivial baseline.
    """
    at = {(line.method, line.shots, line.target): line for line in lines if line.method != TRIVIAL}
    found = []
    for group, targets in groups.groups.items():
        for shots in shot_order(shots for _, shots, _ in at):
            methods = [
                method
                for method in dict.fromkeys(method for method, *_ in at)
                if all((method, shots, target) in at for target in targets)
            ]
            if len(targets) >= FEWEST_TARGETS and len(methods) >= 3:
                own = [[at[method, shots, target] for method in methods] for target in targets]
                found += _ranked(group, shots, methods, own)
    return found


def _ranked(group: str, shots: str, methods: Sequence[str], own: Sequence[Sequence[Line]]) -> list[RankLine]:
    found = ranking(np.array([[line.score for line in row] for row in own]))
    sets = cliques(found.ranks, distance=found.critical_difference)
    rows = []
    for place in sorted(range(len(methods)), key=lambda place: found.ranks[place]):
        alike = sorted({other for own in sets if place in own for other in own} - {place})
        rows.append(
            RankLine(
                group=group,
                shots=shots,
                method=methods[place],
                rank=found.ranks[place],
                methods=len(methods),
                targets=found.tasks,
                p=found.p,
                critical_difference=found.critical_difference,
                alike=tuple(methods[other] for other in alike),
                leakage=sum(row[place].leakage for row in own),
            )
        )
    return rows
