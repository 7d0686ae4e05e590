"""Percentile intervals from a bootstrap over documents: whole groups are drawn, never single examples."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

from clinprompt.errors import InputError

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
    """The metric's value in each resample, shape ``[resamples]``.

    ``counts`` are the sums per group ``[groups, C]``; ``value`` maps sums ``[..., C]`` to values ``[...]``.
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
    """Both ends of the percentile interval of a metric over per-group counts ``[groups, C]``.

    One group alone gives an interval of no width: it says nothing about other documents. Raises
    :class:`InputError` without groups.
    """
    values = resampled_values(counts, value, resamples=resamples, seed=seed)
    low, high = np.quantile(values, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def pooled_interval(
    counts: NDArray[np.float64],
    value: Callable[[NDArray[np.float64]], NDArray[np.float64]],
    *,
    resamples: int = 10_000,
    seed: int = 0,
    level: float = 0.95,
) -> tuple[float, float]:
    """Both ends of the interval of a metric's mean over several runs on the same groups, ``[runs, groups, C]``.

    Two levels are resampled: the runs (seeds, few-shot draws) and the groups, the same groups for every run,
    since runs share their documents. With one run this is :func:`bootstrap_interval`.
    """
    by_run = np.stack([resampled_values(run, value, resamples=resamples, seed=seed) for run in counts])  # [S, N]
    S, N = by_run.shape
    chosen = np.random.default_rng([seed, 1]).integers(0, S, size=(S, N))
    means = np.take_along_axis(by_run, chosen, axis=0).mean(axis=0)
    low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)
