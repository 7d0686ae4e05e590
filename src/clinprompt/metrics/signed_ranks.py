"""A test over tasks, and what several tests together may claim."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

_DIGITS = 9
"""Differences are compared to so many decimals: what is further behind is the noise of sums."""


def signed_rank_p(differences: Sequence[float]) -> float:
    """The exact two-sided p-value of Wilcoxon's signed-rank test over tasks (Demšar, JMLR 7, 2006, section 3.1.3).

    Differences of 0 are left out, equal ones share their mean rank. Every choice of signs counts, so that ties need no
    approximation. With n differences no p-value is below 2 / 2^n: five tasks cannot be significant at 5 %. Without any
    difference it is 1.

    >>> signed_rank_p([1.5, 0.2, 2.0, -0.1, 0.7, 3.0])
    0.0625
    """
    found = np.round(np.asarray(differences, dtype=np.float64), _DIGITS)
    found = found[found != 0]
    if not len(found):
        return 1.0
    _, place, counts = np.unique(np.abs(found), return_inverse=True, return_counts=True)
    doubled = (2 * np.cumsum(counts) - counts + 1)[place]  # twice the mean ranks: whole numbers
    total = int(doubled.sum())
    chance = np.zeros(total + 1)  # of each sum of the doubled ranks of positive differences
    chance[0] = 1.0
    for rank in doubled:
        chance = (chance + np.concatenate([np.zeros(rank), chance[:-rank]])) / 2
    positive = int(doubled[found > 0].sum())
    return min(1.0, 2 * float(chance[: min(positive, total - positive) + 1].sum()))


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's adjusted p-values, in the order given: those below a level hold together at that level.

    The smallest is multiplied by their number, the next by one less, and so on; none is below one before it
    (Scandinavian Journal of Statistics 6, 1979).

    >>> [round(p, 3) for p in holm([0.01, 0.04, 0.03])]
    [0.03, 0.06, 0.06]
    """
    adjusted = [0.0] * len(p_values)
    highest = 0.0
    for rank, place in enumerate(sorted(range(len(p_values)), key=lambda place: p_values[place])):
        highest = max(highest, min(1.0, (len(p_values) - rank) * p_values[place]))
        adjusted[place] = highest
    return adjusted
