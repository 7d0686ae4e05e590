"""How a site writes: headings, order of sections, punctuation, full sentences or shorthand."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

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


@dataclass(frozen=True, slots=True)
class Style:
    """The writing of one site: ``site`` chooses word lists, ``terse`` phrases, the rest punctuation."""

    site: str
    terse: bool
    headings: Mapping[str, str]
    order: tuple[str, ...]
    heading_end: str
    between: str
    stop: str

    def phrase(self, full: tuple[str, ...], short: tuple[str, ...]) -> tuple[str, ...]:
        """The wordings this site uses for one thing."""
        return short if self.terse else full


def _headings(text: str) -> dict[str, str]:
    return dict(zip(SECTION_NAMES, (part.strip() for part in text.split(",")), strict=True))


SITES: dict[str, Style] = {
    "A": Style(
        site="A",
        terse=False,
        headings=_headings(
            "HISTORY, MEDICATIONS, ADVERSE EVENTS, PROBLEMS, LABS, SOCIAL, OPIOIDS, IMAGING, PROCEDURES"
        ),
        order=SECTION_NAMES,
        heading_end=": ",
        between=" ",
        stop=".",
    ),
    "B": Style(
        site="B",
        terse=True,
        headings=_headings("Hx, Rx, ADR, Dx, Lab, SH, Opioid hx, Img, PSH"),
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
        ),
        heading_end=" - ",
        between="; ",
        stop="",
    ),
}
