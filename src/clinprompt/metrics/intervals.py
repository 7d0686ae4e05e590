"""Intervals from a bootstrap over documents: whole groups are drawn, never single examples.

Percentile intervals of few documents or few runs are too narrow: the resamples vary by (n-1)/n of what they should, and
n-1 deviations do not have normal tails. So their ends are moved away from the score by the factor that a t interval has
over a normal one (the expanded percentile interval of Hesterberg, The American Statistician 69, 2015, with several
levels by Satterthwaite's degrees of freedom). `benchmarks/statistics.py` measures how often they cover the truth.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri, stdtrit

from clinprompt.errors import InputError
from clinprompt.metrics.runs import Levels, single_runs, unit_means

_CELLS_AT_ONCE = 4_000_000
"""Resamples times groups held in memory at one time (32 MB of weights)."""


def draws(groups: int, *, resamples: int, seed: int) -> Iterator[NDArray[np.int64]]:
    """Group indices drawn with replacement, in blocks ``[resamples of the block, groups]``."""
    generator = np.random.default_rng(seed)
    block = max(1, _CELLS_AT_ONCE // groups)
    for done in range(0, resamples, block):
        yield generator.integers(0, groups, size=(min(block, resamples - done), groups))


def resampled_values(
    counts: NDArray[np.float64],
    value: Callable[[NDArray[np.float64]], NDArray[np.float64]],
    *,
    resamples: int = 10_000,
    seed: int = 0,
) -> NDArray[np.float64]:
    """The metric's value in each resample, shape ``[resamples, ...]``.

    ``counts`` are the sums per group ``[groups, C]``; ``value`` maps sums ``[resamples, C]`` to the values.
    Raises :class:`InputError` without groups.
    """
    groups = len(counts)
    if not groups:
        raise InputError("there are no examples to score")
    values = []
    for indices in draws(groups, resamples=resamples, seed=seed):
        rows = len(indices)
        # How often each group was drawn, per resample: [rows, groups]
        flat = (indices + groups * np.arange(rows)[:, None]).ravel()
        weights = np.bincount(flat, minlength=rows * groups).reshape(rows, groups)
        values.append(value(weights.astype(np.float64) @ counts))
    return np.concatenate(values)


def bootstrap_interval(
    counts: NDArray[np.float64],
    value: Callable[[NDArray[np.float64]], NDArray[np.float64]],
    *,
    resamples: int = 10_000,
    seed: int = 0,
    level: float = 0.95,
) -> tuple[float, float]:
    """Both ends of the interval of a metric in percent over per-group counts ``[groups, C]``.

    One group alone gives an interval of no width: it says nothing about other documents. Raises
    :class:`InputError` without groups.
    """
    return pooled_interval(counts[None], value, resamples=resamples, seed=seed, level=level)


def percentile_interval(values: NDArray[np.float64], *, level: float = 0.95) -> tuple[float, float]:
    """Both ends of the middle ``level`` of the values ``[resamples]``."""
    low, high = np.quantile(values, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


@dataclass(frozen=True, slots=True)
class Variation:
    """What resampling ``units`` (documents, seeds, draws) contributes to the variance of the resamples."""

    variance: float
    units: int


def of_documents(values: NDArray[np.float64], *, documents: int) -> Variation:
    """How much resamples ``[resamples]`` of the mean over fixed runs vary with the documents drawn."""
    return Variation(float(values.var()), documents)


def of_runs(scores: NDArray[np.float64], made_of: Levels) -> tuple[Variation, ...]:
    """How much the mean varies with the units drawn on each level, from the runs' scores ``[runs]``.

    What seeds and draws do together is in both levels: of crossed ones the sum is rather too large than too small.
    """
    return tuple(Variation(float(means.var() / len(means)), len(means)) for means in unit_means(scores, made_of))


def stretch(variations: Iterable[Variation], *, level: float = 0.95) -> float:
    """How much wider an interval must be than its percentiles say, for so few units; 1 where nothing varies."""
    found = [one for one in variations if one.units > 1 and one.variance > 0]
    drawn = sum(one.variance for one in found)
    if not drawn:
        return 1.0
    true = [(one.variance * one.units / (one.units - 1), one.units - 1) for one in found]
    whole = sum(variance for variance, _ in true)
    freedom = whole**2 / sum(variance**2 / own for variance, own in true)
    tail = (1 + level) / 2
    return float(np.sqrt(whole / drawn) * stdtrit(freedom, tail) / ndtri(tail))


def stretched_interval(
    values: NDArray[np.float64],
    variations: Iterable[Variation],
    *,
    centre: float,
    within: tuple[float, float] = (0.0, 100.0),
    level: float = 0.95,
) -> tuple[float, float]:
    """Both ends of the interval of resamples ``[resamples]`` round the score ``centre``, never outside ``within``."""
    low, high = percentile_interval(values, level=level)
    factor = stretch(variations, level=level)
    if factor == 1.0:
        return low, high
    low, high = min(low, centre - factor * (centre - low)), max(high, centre + factor * (high - centre))
    return max(low, within[0]), min(high, within[1])


def run_values(
    counts: NDArray[np.float64],
    value: Callable[[NDArray[np.float64]], NDArray[np.float64]],
    *,
    resamples: int = 10_000,
    seed: int = 0,
) -> NDArray[np.float64]:
    """Each run's value in each resample of the groups ``[resamples, runs]``, from counts ``[runs, groups, C]``.

    A resample is the same for all runs, and for any other counts of as many groups with the same seed: what two
    methods gain on the same documents may be subtracted.
    """
    S, G, C = counts.shape
    side_by_side = counts.transpose(1, 0, 2).reshape(G, S * C)

    def of_each_run(sums: NDArray[np.float64]) -> NDArray[np.float64]:
        return value(sums.reshape(len(sums), S, C))

    return resampled_values(side_by_side, of_each_run, resamples=resamples, seed=seed)


def mean_of_runs(
    by_run: NDArray[np.float64], made_of: Levels, *, seed: int = 0, stream: int = 1
) -> NDArray[np.float64]:
    """Means ``[resamples]`` of runs whose units are drawn with replacement in each resample, from :func:`run_values`.

    A run counts as often as its seed and its draw were drawn, multiplied. The same ``seed`` and ``stream`` draw the
    same units (pairs of runs, for two methods), another ``stream`` others.
    """
    weights = np.ones_like(by_run)
    for number, units in enumerate(made_of):
        weights *= _times_drawn(len(by_run), units, rng=np.random.default_rng([seed, stream, number][: 2 + number]))
    weights[~weights.any(axis=1)] = 1.0  # only where runs are missing: none of those that are there was drawn
    return np.asarray((weights * by_run).sum(axis=1) / weights.sum(axis=1))


def _times_drawn(resamples: int, units: NDArray[np.int64], *, rng: np.random.Generator) -> NDArray[np.float64]:
    """How often the unit of each run is among as many as there are, drawn with replacement ``[resamples, runs]``."""
    K = int(units.max()) + 1
    chosen = rng.integers(0, K, size=(K, resamples))
    times = np.bincount((chosen + K * np.arange(resamples)).ravel(), minlength=K * resamples)
    return times.reshape(resamples, K)[:, units].astype(np.float64)


def mean_of_parts(parts: Sequence[NDArray[np.float64]], *, seed: int = 0) -> NDArray[np.float64]:
    """Resamples ``[resamples]`` of the mean over parts with documents of their own, such as several targets.

    Each part's resamples are first put into a random order of its own, so that parts vary independently of each
    other; the order depends on the seed and the part's position alone.
    """
    mixed = [np.random.default_rng([seed, 3, number]).permutation(part) for number, part in enumerate(parts)]
    return np.mean(mixed, axis=0)


def pooled_interval(
    counts: NDArray[np.float64],
    value: Callable[[NDArray[np.float64]], NDArray[np.float64]],
    *,
    made_of: Levels | None = None,
    resamples: int = 10_000,
    seed: int = 0,
    level: float = 0.95,
) -> tuple[float, float]:
    """Both ends of the interval of a metric's mean in percent over runs on the same groups, ``[runs, groups, C]``.

    Resampled are what the runs are ``made_of`` (None: runs that share nothing) and the groups, the same groups for
    every run, since runs share their documents. With one run this is :func:`bootstrap_interval`.
    """
    made_of = made_of or single_runs(len(counts))
    by_run = run_values(counts, value, resamples=resamples, seed=seed)
    scores = value(counts.sum(axis=1))
    return stretched_interval(
        mean_of_runs(by_run, made_of, seed=seed),
        (of_documents(by_run.mean(axis=1), documents=counts.shape[1]), *of_runs(scores, made_of)),
        centre=float(scores.mean()),
        level=level,
    )
