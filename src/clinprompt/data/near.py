"""How much of a text stands in other texts too: the share of its runs of eight words, whatever stands between words.

Runs of words find what comparing whole texts misses: a sentence of an abstract, a note cut elsewhere, other
punctuation. A run is known by a 64-bit hash, so two different runs are taken for one about once in 10^19 pairs.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

RUN = 8
"""Words in a run; a shorter text is one run."""
NEAR = 0.5
"""From which share on a text counts as near."""

Hashes = NDArray[np.uint64]

_WORD = re.compile(r"\w+")
_STEP = np.uint64(0x9E3779B97F4A7C15)  # odd, so that multiplying by it loses nothing


@dataclass(frozen=True, slots=True)
class Runs:
    """The runs of words of some texts: ``hashes`` one after the other, ``starts`` where each text's begin."""

    hashes: Hashes
    starts: NDArray[np.int64]
    texts: int
    known: Hashes = field(repr=False)

    def shares(self, other: Runs) -> NDArray[np.float64]:
        """For each text ``[texts]`` the share of its runs that the other texts have; 0 for a text without words."""
        found = np.zeros(self.texts)
        if not (len(self.hashes) and len(other.known)):
            return found
        places = np.minimum(np.searchsorted(other.known, self.hashes), len(other.known) - 1)
        hits = np.concatenate([[0], np.cumsum(other.known[places] == self.hashes)])
        ends = np.append(self.starts[1:], len(self.hashes))
        counts = ends - self.starts
        return np.divide(hits[ends] - hits[self.starts], counts, out=found, where=counts > 0)


def runs_of(texts: Iterable[str], *, run: int = RUN) -> Runs:
    """The runs of ``run`` words of each text; large and small letters and all that is no word do not count."""
    words: dict[str, int] = {}
    pieces = [_hashed(_WORD.findall(text.casefold()), run, words) for text in texts]
    lengths = np.array([len(piece) for piece in pieces], dtype=np.int64)
    hashes = np.concatenate(pieces) if pieces else np.empty(0, dtype=np.uint64)
    starts = np.concatenate([[0], np.cumsum(lengths)[:-1]]).astype(np.int64) if pieces else lengths
    return Runs(hashes, starts, len(pieces), np.unique(hashes))


def _hashed(found: Sequence[str], run: int, words: dict[str, int]) -> Hashes:
    for word in found:
        if word not in words:
            words[word] = int.from_bytes(hashlib.blake2b(word.encode(), digest_size=8).digest(), "big")
    values = np.array([words[word] for word in found], dtype=np.uint64)
    width = min(run, len(values))
    if not width:
        return values
    total = np.full(len(values) - width + 1, width, dtype=np.uint64)
    for place in range(width):  # a polynomial of the words' hashes, modulo 2^64
        total = total * _STEP + values[place : len(values) - width + 1 + place]
    return total ^ (total >> np.uint64(31))
