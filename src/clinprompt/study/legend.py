"""What the marks of tables and figures mean: scores on examples that were seen before, and intervals without width."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

DAGGER = "†"
"""Stands behind every score of which some examples stand in what was trained on, whole or nearly."""
SEEN = "some of the scored examples were seen before"
"""What :data:`DAGGER` means."""


class Marked(Protocol):
    """What a table or figure shows: ``leakage`` examples that it rests on were seen before."""

    @property
    def leakage(self) -> int:
        """How many."""


class Scored(Marked, Protocol):
    """A score in percent."""

    @property
    def score(self) -> float:
        """The score."""


def mark(found: Marked) -> str:
    """The mark that belongs behind a score, a rank, a difference or an effect; empty where nothing was seen before."""
    return DAGGER if found.leakage else ""


def explained(found: Iterable[Marked], *, text: str = "") -> str:
    """A ``text`` with a line below it that explains the mark where any of what is shown has it."""
    told = f"{DAGGER}: {SEEN}" if any(one.leakage for one in found) else ""
    return "\n".join(filter(None, (text, told)))
