"""Many texts kept as eight bytes each: which are there twice, how many are in two sets."""

from __future__ import annotations

import hashlib
from array import array

import numpy as np

from clinprompt.data.overlap import normalise
from clinprompt.schema.example import Example


def digest(text: str) -> int:
    """64 bits of a text; among a million texts two have the same by chance once in about forty million times."""
    return int.from_bytes(hashlib.blake2b(text.encode("utf-8"), digest_size=8).digest(), "little")


class Digests:
    """The digests of texts in the order they came; 8 bytes a text, where a set of texts takes some hundred."""

    def __init__(self) -> None:
        self._kept = array("Q")

    def add(self, text: str) -> None:
        """Keep the digest of a text."""
        self._kept.append(digest(text))

    def repeated(self) -> frozenset[int]:
        """The digests that came more than once."""
        ordered = self._sorted()
        return frozenset(ordered[1:][ordered[1:] == ordered[:-1]].tolist())

    def distinct(self) -> int:
        """How many texts are different."""
        ordered = self._sorted()
        return int(len(ordered) and 1 + np.count_nonzero(ordered[1:] != ordered[:-1]))

    def times_in(self, other: Digests) -> int:
        """How many of these texts, repeats counted, are in the other set."""
        return int(np.count_nonzero(self._found_in(other)))

    def shared_with(self, other: Digests) -> int:
        """How many different texts are in both sets."""
        found = self._sorted()[self._found_in(other)]
        return int(len(found) and 1 + np.count_nonzero(found[1:] != found[:-1]))

    def _found_in(self, other: Digests) -> np.ndarray:
        mine, theirs = self._sorted(), other._sorted()
        if not len(theirs):
            return np.zeros(len(mine), dtype=bool)
        places = np.searchsorted(theirs, mine)
        return theirs[np.minimum(places, len(theirs) - 1)] == mine

    def _sorted(self) -> np.ndarray:
        view = np.asarray(self._kept)
        view.sort()  # in place: a copy would double what is held
        return view


class PartDigests:
    """The notes and groups of a part, for comparing it with others as :func:`clinprompt.data.overlap.overlap` does."""

    def __init__(self) -> None:
        self.exact, self.normalised, self.groups = Digests(), Digests(), Digests()
        self._last = ""

    def add(self, example: Example) -> None:
        """Take in an example; an empty note is not compared."""
        if example.note.strip():
            self.exact.add(example.note)
            self.normalised.add(normalise(example.note))
        if example.group != self._last or not example.group:  # windows of one document come one after the other
            self.groups.add(example.group)
            self._last = example.group
