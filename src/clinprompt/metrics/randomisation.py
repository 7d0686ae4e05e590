"""Tests between two methods on the same documents by exchanging what the methods said, whole documents at a time.

If two methods are equally good, it is chance which of them said what about a document: exchanging the two answers, in
any of the documents, gives other differences that were as likely as the one seen (approximate randomisation: Noreen,
Computer-Intensive Methods for Testing Hypotheses, 1989; Yeh, COLING 2000).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from clinprompt.errors import InputError

Floats = NDArray[np.float64]

_NUMBERS_AT_ONCE = 4_000_000
"""Numbers of one block held in memory (32 MB)."""
_EQUAL = 1e-9
"""Differences that are nearer to each other than this (relative; absolute below 1) are the same number."""


def exchanged_differences(
    first: Floats,
    second: Floats,
    value: Callable[[Floats], Floats],
    *,
    paired: bool = True,
    resamples: int = 10_000,
    seed: int = 0,
) -> tuple[Floats, bool]:
    """Differences of the mean over runs, in percent ``[N]``, after exchanging whole documents; are they all there are?

    ``first`` and ``second`` are counts ``[runs, groups, C]`` of the same groups; ``value`` maps sums ``[..., C]`` to
    values. A group is exchanged in all runs at once, for runs share their documents. With ``paired`` run s of one is
    exchanged with run s of the other, else every run with every run (and their number may differ). With at most
    ``resamples`` ways to exchange each is taken once (``True``), else that many are drawn. Raises :class:`InputError`
    for counts of other groups or, with ``paired``, of another number of runs.
    """
    S, G, C = first.shape
    R = len(second)
    if second.shape[1:] != (G, C) or not G:
        raise InputError(f"scores of {G} and of {second.shape[1]} documents cannot be compared",
                         fix="score both methods on the same documents")  # fmt: skip
    if paired and R != S:
        raise InputError(f"{S} runs cannot be paired with {R}", fix="compare them unpaired")
    side_by_side = np.concatenate([first, second]).transpose(1, 0, 2).reshape(G, (S + R) * C)
    totals = side_by_side.sum(axis=0).reshape(S + R, C)
    every = resamples.bit_length() > G  # 2^G of them
    pairs = S if paired else S * R
    found = []
    for exchanged in _masks(G, width=max(G, pairs * C), resamples=resamples, every=every, seed=seed):
        moved = (exchanged @ side_by_side).reshape(len(exchanged), S + R, C)
        one, two = moved[:, :S], moved[:, S:]
        kept_one, kept_two = totals[:S] - one, totals[S:] - two
        if not paired:
            one, kept_one = one[:, :, None], kept_one[:, :, None]
            two, kept_two = two[:, None], kept_two[:, None]
        change = value(kept_one + two) - value(kept_two + one)
        found.append(change.reshape(len(exchanged), pairs).mean(axis=1))
    return np.concatenate(found), every


def with_chance_of_runs(chance: Floats, units: Sequence[Floats], *, share: float = 1.0, seed: int = 0) -> Floats:
    """Chance differences ``[N]`` of other documents and other runs, from those of these runs.

    ``units`` are the means of the units that runs are made of, ``[units]`` for each level (runs alone have one, crossed
    seeds and draws two): of their differences where runs are pairs, else of each method; for a mean over targets those
    of all of them, each with its ``share``. What the mean of so few may be off by is drawn from a t distribution, of
    several arrays with the degrees of freedom of Satterthwaite and Welch. A single one says nothing about others, and
    adds nothing.
    """
    found = [(scores.var(ddof=1) / len(scores), len(scores) - 1) for scores in units if len(scores) > 1]
    whole = sum(variance for variance, _ in found)
    if not whole:
        return chance
    freedom = whole**2 / sum(variance**2 / own for variance, own in found)
    error = share * np.sqrt(whole)
    return chance + error * np.random.default_rng([seed, 5]).standard_t(freedom, len(chance))


def share_as_large(observed: float, chance: Floats, *, every: bool = False) -> float:
    """The two-sided p-value: the share of the chance differences ``[N]`` at least as far from 0 as the one observed.

    The one observed counts as one of them (Davison and Hinkley 1997, 4.11), unless they are ``every`` possible one and
    so hold it already.
    """
    limit = abs(observed)
    as_large = int((np.abs(chance) >= limit - _EQUAL * max(1.0, limit)).sum())
    return as_large / len(chance) if every else (1 + as_large) / (1 + len(chance))


def _masks(groups: int, *, width: int, resamples: int, every: bool, seed: int) -> Iterator[Floats]:
    """Which groups are exchanged, 0 or 1 ``[rows, groups]``, in blocks."""
    generator = np.random.default_rng([seed, 4])
    count = 2**groups if every else resamples
    block = max(1, _NUMBERS_AT_ONCE // width)
    for done in range(0, count, block):
        rows = min(block, count - done)
        if every:
            numbers = np.arange(done, done + rows)
            yield ((numbers[:, None] >> np.arange(groups)) & 1).astype(np.float64)
        else:
            words = generator.integers(0, 2**64, (rows, -(-groups // 64)), dtype=np.uint64)  # whole words: blocks agree
            yield np.unpackbits(words.astype("<u8").view(np.uint8), axis=1)[:, :groups].astype(np.float64)
