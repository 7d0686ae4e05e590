"""Choose the words of one note so that no term stands in it twice and every fact has one answer."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import TypeVar

from clinprompt.data.readers.synthetic.vocabulary import SYLLABLES, TERMS

T = TypeVar("T")


class Picker:
    """Draws from a :class:`random.Random`, never the same term twice.

    ``reserved`` is the share of reserved terms, ``invented`` that of invented words. Kinds in ``phrasal`` stay
    real: they end a sentence such as "lives with a roommate".
    """

    phrasal = frozenset({"housing", "tobacco", "alcohol"})

    def __init__(self, rng: random.Random, *, reserved: float = 0.0, invented: float = 0.0) -> None:
        self.rng, self.reserved, self.invented = rng, reserved, invented
        self._used: set[str] = set()

    def chance(self, share: float) -> bool:
        """True in this share of the draws."""
        return self.rng.random() < share

    def one_of(self, *options: T) -> T:
        """One of the options, repeats within the note allowed."""
        return self.rng.choice(options)

    def fresh(self, draw: Callable[[], str]) -> str:
        """A draw that the note does not contain yet."""
        while (text := draw()) in self._used:
            pass
        self._used.add(text)
        return text

    def fresh_of(self, options: Sequence[str]) -> str:
        """One of the options that the note does not contain yet."""
        return self.fresh(lambda: self.rng.choice(options))

    def term(self, kind: str) -> str:
        """A term of a kind of the vocabulary that the note does not contain yet."""
        return self.fresh(lambda: self._draw(kind))

    def terms(self, kind: str, count: int) -> list[str]:
        """Several different terms of one kind."""
        return [self.term(kind) for _ in range(count)]

    def _draw(self, kind: str) -> str:
        if kind not in self.phrasal and self.chance(self.invented):
            return pseudo_word(self.rng)
        terms = TERMS[kind]
        return self.rng.choice(terms.reserved if self.chance(self.reserved) else terms.source)


def pseudo_word(rng: random.Random) -> str:
    """An invented word of two to four syllables: what cannot be known must be copied."""
    return "".join(rng.choice(SYLLABLES) for _ in range(rng.randint(2, 4)))
