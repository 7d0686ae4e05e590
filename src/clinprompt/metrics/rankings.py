"""Several methods over several tasks: mean ranks, and how far apart two of them must be (Demšar, JMLR 7, 2006)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import chdtrc

from clinprompt.errors import InputError


@dataclass(frozen=True, slots=True)
class Ranking:
    """Mean ranks of methods in the order given, 1 the best, over ``tasks`` tasks.

    ``p`` is Friedman's test that all methods are alike; two methods whose ranks differ by at least
    ``critical_difference`` differ significantly at 5 %, all pairs taken together (Nemenyi).
    """

    ranks: tuple[float, ...]
    tasks: int
    p: float
    critical_difference: float


def ranking(scores: NDArray[np.float64]) -> Ranking:
    """Rank the scores ``[tasks, methods]``, higher ones first; equal ones share their mean rank.

    Raises :class:`InputError` for fewer than three methods (compare two by :func:`signed_rank_p`) or two tasks.
    """
    n, k = scores.shape
    if k < 3 or n < 2:
        raise InputError(
            f"{k} methods on {n} tasks cannot be ranked", allowed="three methods or more, two tasks or more"
        )
    ranks = np.stack([_ranks(row) for row in scores])
    mean = ranks.mean(axis=0)
    spread = ((ranks - (k + 1) / 2) ** 2).sum() / (n * (k - 1))  # k (k + 1) / 12 without ties, less with them
    statistic = n * ((mean - (k + 1) / 2) ** 2).sum() / spread if spread else 0.0
    return Ranking(tuple(map(float, mean)), n, float(chdtrc(k - 1, statistic)), critical_difference(k, n))


def critical_difference(methods: int, tasks: int, *, level: float = 0.05) -> float:
    """Nemenyi's least significant difference of two mean ranks.

    >>> round(critical_difference(4, 14), 2)
    1.25
    """
    from scipy.stats import studentized_range

    q = float(studentized_range.ppf(1 - level, methods, np.inf)) / math.sqrt(2)
    return q * math.sqrt(methods * (methods + 1) / (6 * tasks))


def cliques(ranks: Sequence[float], *, distance: float) -> list[tuple[int, ...]]:
    """Sets of methods (places in ``ranks``, best first) no two of which differ by ``distance``; none within another.

    >>> cliques([1.0, 3.0, 1.5, 2.2], distance=1.0)
    [(0, 2), (2, 3), (3, 1)]
    """
    order = sorted(range(len(ranks)), key=lambda place: ranks[place])
    found: list[tuple[int, ...]] = []
    for start, best in enumerate(order):
        own = tuple(place for place in order[start:] if ranks[place] - ranks[best] < distance)
        if len(own) > 1 and not (found and set(own) <= set(found[-1])):
            found.append(own)
    return found


def _ranks(row: NDArray[np.float64]) -> NDArray[np.float64]:
    _, place, counts = np.unique(-np.round(row, 9), return_inverse=True, return_counts=True)
    return (np.cumsum(counts) - (counts - 1) / 2)[place]
