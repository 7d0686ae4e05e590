"""A text as HTML with marks drawn over it: nested, overlapping or discontinuous."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Protocol

from markupsafe import Markup, escape

from clinprompt.schema.document import Fragment


class Drawn(Protocol):
    """One mark: its places, the lane (0 next to the text) of its line, and how it is named and shown."""

    @property
    def fragments(self) -> tuple[Fragment, ...]:
        """The places in the text."""

    @property
    def lane(self) -> int:
        """The lane in which its line runs; marks that meet have different ones."""

    @property
    def name(self) -> str:
        """The class of its elements."""

    @property
    def tag(self) -> str:
        """What is shown once where the mark begins."""

    @property
    def title(self) -> str:
        """What a pointer on it shows."""

    @property
    def gap_title(self) -> str:
        """What a pointer on the gap between two fragments shows."""


def lanes(places: Sequence[tuple[Fragment, ...]]) -> list[int]:
    """A lane for each of the places, in their order: the lowest that none before it has and meets."""
    found: list[int] = []
    for place, fragments in enumerate(places):
        taken = {found[other] for other in range(place) if _meet(places[other], fragments)}
        found.append(next(number for number in range(place + 1) if number not in taken))
    return found


def marked(text: str, drawn: Sequence[Drawn]) -> Markup:
    """The text with its marks; taking the tags away gives the text back, character by character.

    The text is cut at every border of every fragment. A stretch stands inside one element per mark that
    covers it; the gap inside a discontinuous span is an element too, without being part of the span. Tags and
    titles are attributes, so they are never part of the text.
    """
    borders = {0, len(text)} | {border for mark in drawn for pair in mark.fragments for border in pair}
    return Markup("").join(_stretch(text, start, end, drawn) for start, end in pairwise(sorted(borders)))


def verbatim(text: str) -> Markup:
    """Escaped text whose carriage returns survive a browser."""
    return Markup(escape(text).replace("\r", Markup("&#13;")))


def _stretch(text: str, start: int, end: int, drawn: Sequence[Drawn]) -> Markup:
    found = verbatim(text[start:end])
    # Inner elements have the lines next to the text, so lanes grow outwards.
    for mark in sorted(drawn, key=lambda mark: mark.lane):
        if not (mark.fragments[0][0] <= start and end <= mark.fragments[-1][1]):
            continue
        inside = any(first <= start and end <= last for first, last in mark.fragments)
        begins = start == mark.fragments[0][0]
        found = Markup('<{tag} class="{name}" style="--lane:{lane}"{label} title="{title}">{content}</{tag}>').format(
            tag="mark" if inside else "span",
            name=mark.name if inside else f"gap {mark.name}",
            lane=mark.lane,
            label=Markup(' data-tag="{}"').format(mark.tag) if begins else "",
            title=mark.title if inside else mark.gap_title,
            content=found,
        )
    return found


def _meet(one: tuple[Fragment, ...], other: tuple[Fragment, ...]) -> bool:
    """Whether two spans meet anywhere between their first and last character: gaps are drawn as well."""
    return one[0][0] < other[-1][1] and other[0][0] < one[-1][1]
