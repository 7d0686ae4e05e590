"""Which runs (a seed of training, a few-shot draw) share what: crossed ones are not independent of each other.

With three seeds on each of ten draws a lucky draw is in three runs and a lucky seed in ten. So seeds and draws are
units of their own, each a level that is drawn anew, as the rows and columns of a table are (Owen, The pigeonhole
bootstrap, The Annals of Applied Statistics 1, 2007). Where both differ from run to run, runs are the units.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Levels = tuple[NDArray[np.int64], ...]
"""For each level the number of the unit that a run belongs to ``[runs]``, counted from 0."""


def single_runs(count: int) -> Levels:
    """The one level of runs that share nothing."""
    return (np.arange(count),)


def levels(runs: Sequence[tuple[int, int]]) -> Levels:
    """What the runs, each a seed and a draw, are made of.

    One level, if one of the two never varies or lies within the other: draws of one seed, or draws of its own for each
    seed (then the seeds are the units). Otherwise two, seeds and draws.

    >>> [units.tolist() for units in levels([(1, 0), (1, 1), (2, 0), (2, 1)])]
    [[0, 0, 1, 1], [0, 1, 0, 1]]
    >>> [units.tolist() for units in levels([(1, 0), (2, 1), (3, 2)])]
    [[0, 1, 2]]
    """
    seeds, draws = (np.unique([run[part] for run in runs], return_inverse=True)[1] for part in (0, 1))
    pairs = len(set(runs))
    if not seeds.any() or (draws.any() and pairs == seeds.max() + 1):
        return (draws,)
    if pairs == draws.max() + 1 or not draws.any():
        return (seeds,)
    return seeds, draws


def unit_means(scores: NDArray[np.float64], made_of: Levels) -> list[NDArray[np.float64]]:
    """The mean of each unit's runs ``[units]``, level by level, from the runs' scores ``[runs]``."""
    return [np.bincount(units, weights=scores) / np.bincount(units) for units in made_of]
