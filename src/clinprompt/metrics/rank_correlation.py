"""Whether two numbers of tasks rise and fall together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import permutations
from math import factorial

import numpy as np
from scipy.stats import rankdata

from clinprompt.metrics.randomisation import share_as_large

FEWEST = 4
"""Tasks without which there is no correlation: of three, any order is found by chance in one of six."""
_DIGITS = 9
"""Numbers are compared to so many decimals: what is further behind is the noise of sums."""


@dataclass(frozen=True, slots=True)
class RankCorrelation:
    """Spearman's ``rho`` over ``n`` tasks, and the two-sided ``p`` that the two have nothing to do with each other."""

    rho: float
    n: int
    p: float = field(metadata={"digits": 5})


def rank_correlation(
    first: Sequence[float], second: Sequence[float], *, resamples: int = 10_000, seed: int = 0
) -> RankCorrelation | None:
    """Spearman's rank correlation, equal numbers with their mean rank; nothing for fewer than four or a constant.

    ``p`` is the share of orders of the second with a ``rho`` as far from 0: of all of them where there are at most
    ``resamples`` (up to seven tasks), else of that many drawn. It needs no approximation, which is bad for few tasks.

    >>> rank_correlation([1, 2, 3, 4], [10, 20, 30, 40])
    RankCorrelation(rho=1.0, n=4, p=0.08333333333333333)
    """
    n = len(first)
    one, two = (_unit(values) for values in (first, second))
    if n < FEWEST or one is None or two is None:
        return None
    every = factorial(n) <= resamples
    if every:
        orders = two[np.array(list(permutations(range(n))))]
    else:
        orders = np.random.default_rng([seed, 7]).permuted(np.tile(two, (resamples, 1)), axis=1)
    rho = float(np.clip(one @ two, -1, 1))
    return RankCorrelation(round(rho, 12), n, share_as_large(rho, orders @ one, every=every))


def _unit(values: Sequence[float]) -> np.ndarray | None:
    """Ranks ``[n]`` round 0 with the length 1; nothing where all are equal."""
    ranks = rankdata(np.round(np.asarray(values, dtype=np.float64), _DIGITS))
    ranks -= ranks.mean() if len(ranks) else 0.0
    length = float(np.linalg.norm(ranks))
    return ranks / length if length else None
