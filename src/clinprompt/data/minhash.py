"""Texts that are nearly the same, found by MinHash: the share of word triples that two texts have in common.

It finds what long runs of words miss: a text in which every sixth word was changed, such as other names and dates. Two
texts' signatures agree at a place as often as their sets of triples overlap (Broder 1997), so those that agree in any
band of five places are looked at, and then their triples are compared themselves: nothing found is a guess, and a pair
above the threshold is missed about once in a hundred.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import groupby

import numpy as np
from numpy.typing import NDArray

from clinprompt.data.near import Hashes, Runs

WORDS = 3
"""Words in a run that is compared; see :func:`clinprompt.data.near.runs_of`."""
SIMILAR = 0.7
"""From which Jaccard similarity on two texts count as similar."""

_BANDS, _ROWS = 25, 5  # a pair of similarity 0.7 shares one of 25 bands of five with probability 0.99, of 0.3 with 0.06


@dataclass(frozen=True, slots=True)
class Sketches:
    """The runs of some texts and one hash per text and band ``[texts, bands]``; texts without words have none."""

    runs: Runs
    bands: Hashes
    filled: NDArray[np.bool_]


def sketched(runs: Runs, *, seed: int = 1) -> Sketches:
    """The sketches of texts from their runs of :data:`WORDS` words; only those of one seed can be compared."""
    filled = np.diff(np.append(runs.starts, len(runs.hashes))) > 0
    bands = np.zeros((runs.texts, _BANDS), dtype=np.uint64)
    if not filled.any():
        return Sketches(runs, bands, filled)
    generator = np.random.default_rng(seed)
    starts = runs.starts[filled]
    odd, add = (generator.integers(0, 2**64, (_BANDS, _ROWS), dtype=np.uint64) for _ in range(2))
    for band in range(_BANDS):
        total = np.zeros(len(starts), dtype=np.uint64)
        for row in range(_ROWS):
            mixed = (runs.hashes + add[band, row]) * (odd[band, row] | np.uint64(1))
            mixed ^= mixed >> np.uint64(32)
            total = total * np.uint64(0x9E3779B97F4A7C15) + np.minimum.reduceat(mixed, starts)
        bands[filled, band] = total
    return Sketches(runs, bands, filled)


def similar(first: Sketches, second: Sketches, *, threshold: float = SIMILAR) -> list[int]:
    """Places of the first texts that have this share of all different triples in common with one of the second."""
    return [
        one
        for one, pairs in groupby(_candidates(first, second), key=lambda pair: pair[0])
        if any(jaccard(_of(first.runs, one), _of(second.runs, two)) >= threshold for _, two in pairs)
    ]


def jaccard(first: Hashes, second: Hashes) -> float:
    """The share of different hashes that both have."""
    both = len(np.intersect1d(first, second))
    return both / (len(np.unique(first)) + len(np.unique(second)) - both) if both else 0.0


def _candidates(first: Sketches, second: Sketches) -> list[tuple[int, int]]:
    """Pairs that share a band, in order."""
    ones, twos = np.flatnonzero(first.filled), np.flatnonzero(second.filled)
    found = set()
    for band in range(_BANDS):
        order = np.argsort(second.bands[twos, band], kind="stable")
        known = second.bands[twos, band][order]
        wanted = first.bands[ones, band]
        begins, ends = np.searchsorted(known, wanted, "left"), np.searchsorted(known, wanted, "right")
        for place in np.flatnonzero(ends > begins):
            for other in range(begins[place], ends[place]):
                found.add((int(ones[place]), int(twos[order[other]])))
    return sorted(found)


def _of(runs: Runs, text: int) -> Hashes:
    end = runs.starts[text + 1] if text + 1 < runs.texts else len(runs.hashes)
    return runs.hashes[runs.starts[text] : end]
