"""A note as HTML with gold and predicted spans drawn over it: nested, overlapping or discontinuous."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

from markupsafe import Markup, escape

from clinprompt.schema.document import Fragment, Span

Verdict = Literal["correct", "missed", "spurious"]
SYMBOLS: dict[Verdict, str] = {"correct": "✓", "missed": "−", "spurious": "+"}


@dataclass(frozen=True, slots=True)
class Mark:
    """One span as drawn: what it is, and the lane (0 next to the text) in which its line runs."""

    verdict: Verdict
    label: str
    fragments: tuple[Fragment, ...]
    lane: int

    @property
    def tag(self) -> str:
        """Symbol and label, shown once where the span begins."""
        return f"{SYMBOLS[self.verdict]} {self.label}"


def marks(gold: Sequence[Span], predicted: Sequence[Span]) -> list[Mark]:
    """Gold and predicted spans judged as the strict metric does, the shorter ones nearer to the text.

    Marks that share a stretch of text never share a lane.
    """
    expected, given = {span.key for span in gold}, {span.key for span in predicted}
    placed: list[Mark] = []
    for label, fragments in sorted(expected | given, key=lambda key: (key[1][-1][1] - key[1][0][0], key[1], key[0])):
        key = (label, fragments)
        verdict: Verdict = "spurious" if key not in expected else "correct" if key in given else "missed"
        taken = {mark.lane for mark in placed if _meet(mark.fragments, fragments)}
        lane = next(number for number in range(len(placed) + 1) if number not in taken)
        placed.append(Mark(verdict, label, fragments, lane))
    return sorted(placed, key=lambda mark: (mark.fragments, mark.label))


def highlighted(text: str, drawn: Sequence[Mark]) -> Markup:
    """The text with its marks; taking the tags away gives the text back, character by character.

    The text is cut at every border of every fragment. A stretch stands inside one element per mark that
    covers it; the gap inside a discontinuous span is an element too, without being part of the span. Symbols
    and labels are attributes, so they are never part of the text.
    """
    borders = {0, len(text)} | {border for mark in drawn for pair in mark.fragments for border in pair}
    cuts = sorted(borders)
    return Markup("").join(_stretch(text, start, end, drawn) for start, end in pairwise(cuts))


def verbatim(text: str) -> Markup:
    """Escaped text whose carriage returns survive a browser."""
    return Markup(escape(text).replace("\r", Markup("&#13;")))


def _stretch(text: str, start: int, end: int, drawn: Sequence[Mark]) -> Markup:
    found = verbatim(text[start:end])
    # Inner elements have the lines next to the text, so lanes grow outwards.
    for mark in sorted(drawn, key=lambda mark: mark.lane):
        if not (mark.fragments[0][0] <= start and end <= mark.fragments[-1][1]):
            continue
        inside = any(first <= start and end <= last for first, last in mark.fragments)
        begins = start == mark.fragments[0][0]
        found = Markup('<{tag} class="{name}" style="--lane:{lane}"{label} title="{title}">{content}</{tag}>').format(
            tag="mark" if inside else "span",
            name=mark.verdict if inside else f"gap {mark.verdict}",
            lane=mark.lane,
            label=Markup(' data-tag="{}"').format(mark.tag) if begins else "",
            title=f"{mark.verdict}: {mark.label}" if inside else f"gap inside {mark.label}",
            content=found,
        )
    return found


def _meet(one: tuple[Fragment, ...], other: tuple[Fragment, ...]) -> bool:
    """Whether two spans meet anywhere between their first and last character: gaps are drawn as well."""
    return one[0][0] < other[-1][1] and other[0][0] < one[-1][1]
