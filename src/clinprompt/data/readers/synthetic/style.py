"""How a site writes: headings, order of sections, punctuation, full sentences, shorthand or speech."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeVar

Wordings = TypeVar("Wordings")

SECTION_NAMES = (
    "history",
    "medications",
    "adverse-events",
    "problems",
    "labs",
    "social",
    "opioids",
    "imaging",
    "procedures",
)

ON_REQUEST = ("assertions",)
"""Sections that stand in a note only where they are asked for."""


@dataclass(frozen=True, slots=True)
class Style:
    """The writing of one site: ``site`` chooses word lists, ``terse`` and ``spoken`` phrases, the rest punctuation."""

    site: str
    terse: bool
    headings: Mapping[str, str]
    order: tuple[str, ...]
    heading_end: str
    between: str
    stop: str
    section_break: str = "\n"
    spoken: bool = False

    def phrase(self, full: Wordings, short: Wordings, spoken: Wordings | None = None) -> Wordings:
        """The wordings this site uses for one thing; in speech those of a patient, where there are any."""
        if self.spoken and spoken is not None:
            return spoken
        return short if self.terse else full


def _headings(text: str) -> dict[str, str]:
    names = (*SECTION_NAMES, *ON_REQUEST)
    return dict(zip(names, (part.strip() for part in text.split(",")), strict=True))


SITES: dict[str, Style] = {
    "A": Style(
        site="A",
        terse=False,
        headings=_headings(
            "HISTORY, MEDICATIONS, ADVERSE EVENTS, PROBLEMS, LABS, SOCIAL, OPIOIDS, IMAGING, PROCEDURES, CONDITIONS"
        ),
        order=(*SECTION_NAMES, *ON_REQUEST),
        heading_end=": ",
        between=" ",
        stop=".",
    ),
    "B": Style(
        site="B",
        terse=True,
        headings=_headings("Hx, Rx, ADR, Dx, Lab, SH, Opioid hx, Img, PSH, Cond"),
        order=(
            "problems",
            "history",
            "procedures",
            "social",
            "opioids",
            "labs",
            "imaging",
            "adverse-events",
            "medications",
            *ON_REQUEST,
        ),
        heading_end=" - ",
        between="; ",
        stop="",
    ),
}
