"""What the marks of tables and figures mean: scores on examples that were seen before, and intervals without width."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Protocol

DAGGER = "†"
"""Stands behind every score of which some examples stand in what was trained on, whole or nearly."""
SEEN = "some of the scored examples were seen before"
"""What :data:`DAGGER` means."""


NO_WIDTH = (
    "An interval without width, such as [0.0–0.0], says nothing about certainty: where all documents are scored alike, "
    "so is every resample of them."
)
"""Stands under a table that has such an interval."""
OVER_BACKBONES = (
    "The mean over backbones is of targets that all of them have; its interval is over documents and runs, the same "
    "ones for all backbones, and says nothing about other backbones."
)
"""Stands under a table that has such means."""


class Marked(Protocol):
    """What a table or figure shows: ``leakage`` examples that it rests on were seen before."""

    @property
    def leakage(self) -> int:
        """How many."""


class Interval(Protocol):
    """An interval in percent."""

    @property
    def low(self) -> float:
        """The lower end."""

    @property
    def high(self) -> float:
        """The upper end."""


class Counted(Protocol):
    """What a score rests on."""

    @property
    def n(self) -> int:
        """Scored examples."""

    @property
    def documents(self) -> int:
        """Documents they are of."""

    @property
    def seeds(self) -> int:
        """Seeds of training."""

    @property
    def draws(self) -> int:
        """Draws of few-shot examples."""


def mark(found: Marked) -> str:
    """The mark that belongs behind a score, a rank, a difference or an effect; empty where nothing was seen before."""
    return DAGGER if found.leakage else ""


def explained(found: Iterable[Marked], *, text: str = "") -> str:
    """A ``text`` with a line below it that explains the mark where any of what is shown has it."""
    told = f"{DAGGER}: {SEEN}" if any(one.leakage for one in found) else ""
    return "\n".join(filter(None, (text, told)))


def has_no_width(found: Iterable[Interval]) -> bool:
    """Whether any of the intervals is a point."""
    return any(one.low == one.high for one in found)


def counts_text(found: Iterable[Counted]) -> str:
    """What scores rest on, from the fewest to the most.

    >>> from types import SimpleNamespace as Made
    >>> counts_text([Made(n=200, documents=180, seeds=1, draws=1), Made(n=200, documents=90, seeds=1, draws=3)])
    '200 examples in 90–180 documents, 1 seed, 1–3 draws'
    """
    every = list(found)
    n, documents, seeds, draws = (
        span_text([getattr(one, name) for one in every]) for name in ("n", "documents", "seeds", "draws")
    )
    runs = ", ".join(f"{count} {noun}{'s' * (count != '1')}" for noun, count in (("seed", seeds), ("draw", draws)))
    return f"{n} examples in {documents} documents, {runs}"


def span_text(counts: Collection[int]) -> str:
    """The least and the most of some counts, once where they are the same; nothing of none.

    >>> span_text([3, 1, 3]), span_text([2]), span_text([])
    ('1–3', '2', '–')
    """
    return "–".join(dict.fromkeys((f"{min(counts):,}", f"{max(counts):,}"))) if counts else "–"
