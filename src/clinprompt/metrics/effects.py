"""How large a difference is, in words that do not depend on how surely it is there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, slots=True)
class Record:
    """In how many tasks or documents the first of two methods is better, equal, and worse."""

    wins: int
    ties: int
    losses: int


def record_of(differences: Sequence[float], *, digits: int = 9) -> Record:
    """Wins, ties and losses; differences that are 0 when rounded to ``digits`` decimals are ties.

    >>> record_of([2.0, 0.04, -1.0, 0.5], digits=1)
    Record(wins=2, ties=1, losses=1)
    """
    signs = np.sign(np.round(np.asarray(differences, dtype=np.float64), digits))
    return Record(int((signs > 0).sum()), int((signs == 0).sum()), int((signs < 0).sum()))


def typical_difference(differences: Sequence[float]) -> float:
    """The median of the means of all pairs of differences, each with itself too (Hodges and Lehmann 1963).

    It is the shift that fits Wilcoxon's signed ranks: one task with a huge difference does not move it.

    >>> typical_difference([1.0, 2.0, 30.0])
    8.75
    """
    found = np.asarray(differences, dtype=np.float64)
    first, second = np.triu_indices(len(found))
    return float(np.median((found[first] + found[second]) / 2))
