"""Rows of random tokens: all of one length, or with the long tail that clinical notes have."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from statistics import NormalDist

from clinprompt.backbones.protocol import Row

FIRST_WORD = 8
"""Token ids below this one are left to special tokens."""

Batch = tuple[tuple[Row, ...], tuple[int, ...]]
"""Rows that go through the network together, and which task each belongs to."""


def rows_of_lengths(lengths: Sequence[int], *, answer: int, vocabulary: int, seed: int = 0) -> list[Row]:
    """Random rows of these numbers of tokens, the last ``answer`` of each being its answer and one before its cue."""
    chance = random.Random(seed)

    def words(count: int) -> tuple[int, ...]:
        return tuple(chance.randrange(FIRST_WORD, vocabulary) for _ in range(count))

    return [Row(f"row {i}", words(n - answer - 1), words(1), words(answer)) for i, n in enumerate(lengths)]


def long_tailed_lengths(
    count: int, *, median: float = 109, mean: float = 153, most: int = 632, seed: int = 0
) -> list[int]:
    """The ``count`` quantiles of a log-normal distribution in random order, cut at ``most``.

    The defaults are the token counts of the notes the project was planned with (90th percentile about 315).
    """
    sigma = math.sqrt(2 * math.log(mean / median))
    quantiles = (NormalDist().inv_cdf((i + 0.5) / count) for i in range(count))
    lengths = [min(most, round(median * math.exp(sigma * z))) for z in quantiles]
    random.Random(seed).shuffle(lengths)
    return lengths


def batches_of(rows: Sequence[Row], *, size: int, tasks: int) -> list[Batch]:
    """Rows in their order, ``size`` at a time; row ``i`` belongs to task ``i`` modulo ``tasks``."""
    return [
        (tuple(rows[first : first + size]), tuple(i % tasks for i in range(first, min(first + size, len(rows)))))
        for first in range(0, len(rows), size)
    ]


def by_length(batches: Sequence[Batch]) -> list[Batch]:
    """The same rows and tasks with rows of similar length together, in batches of the first one's size."""
    pairs = [pair for rows, tasks in batches for pair in zip(rows, tasks, strict=True)]
    pairs.sort(key=lambda pair: pair[0].length)
    size = len(batches[0][0])
    chunks = [pairs[first : first + size] for first in range(0, len(pairs), size)]
    return [(tuple(row for row, _ in chunk), tuple(task for _, task in chunk)) for chunk in chunks]


def tokens(batches: Sequence[Batch]) -> int:
    """Number of tokens of all rows with BOS and without the last answer token, which is never an input."""
    return sum(row.length for rows, _ in batches for row in rows)
