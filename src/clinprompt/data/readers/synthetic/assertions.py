"""A section of problems that are present, absent, possible, conditional, hypothetical, past, or of the family."""

from __future__ import annotations

from clinprompt.data.readers.synthetic.picker import Picker
from clinprompt.data.readers.synthetic.style import Style
from clinprompt.data.readers.synthetic.treatment import separated
from clinprompt.data.readers.synthetic.writer import NoteWriter

PROBLEM = "condition"

_Frames = tuple[tuple[str, str], ...]
_Said = tuple[str, str, str]
"""Assertion, temporality, experiencer."""

# What stands before and after the words, in full sentences and in shorthand.
_PHRASES: dict[_Said, tuple[_Frames, _Frames]] = {
    ("present", "current", "patient"): (
        (("has ", ""), ("is treated for ", ""), ("was admitted with ", ""), ("", " is well controlled")),
        (("+ ", ""), ("active ", ""), ("on tx for ", "")),
    ),
    ("absent", "current", "patient"): (
        (("denies ", ""), ("no evidence of ", ""), ("", " was ruled out"), ("without ", "")),
        (("no ", ""), ("neg for ", ""), ("", " r/o'd")),
    ),
    ("possible", "current", "patient"): (
        (("probable ", ""), ("cannot exclude ", ""), ("", " is suspected")),
        (("? ", ""), ("poss ", ""), ("", " vs other")),
    ),
    ("conditional", "current", "patient"): (
        (("develops ", " on exertion"), ("gets ", " when fasting")),
        (("", " w/ exertion"), ("", " if fasting")),
    ),
    ("hypothetical", "future", "patient"): (
        (("should return if ", " occurs"), ("will be watched for ", "")),
        (("RTC if ", ""), ("watch for ", "")),
    ),
    ("present", "past", "patient"): (
        (("had ", " in childhood"), ("recovered from ", " years ago")),
        (("prior ", ""), ("", " in childhood")),
    ),
    ("absent", "past", "patient"): (
        (("never had ", ""), ("", " was excluded in the past")),
        (("never ", ""), ("prior w/u neg for ", "")),
    ),
    ("present", "current", "family"): (
        (("the mother has ", ""), ("a brother is treated for ", "")),
        (("FH ", ""), ("mother w/ ", "")),
    ),
    ("present", "past", "family"): (
        (("the father died of ", ""), ("a grandmother had ", "")),
        (("father d. of ", ""), ("FH prior ", "")),
    ),
}
_COMMON = (("present", "current", "patient"), ("absent", "current", "patient"))


def assertions(writer: NoteWriter, picker: Picker, style: Style) -> None:
    """Four to seven problems (label ``condition``), each with the attributes assertion, temporality and experiencer."""
    for _ in separated(writer, style, picker.one_of(4, 5, 6, 7)):
        said = picker.one_of(*_COMMON) if picker.chance(0.3) else picker.one_of(*_PHRASES)
        before, after = picker.one_of(*style.phrase(*_PHRASES[said]))
        writer.write(before)
        assertion, temporality, experiencer = said
        writer.mention(
            PROBLEM,
            picker.term("problem"),
            assertion=assertion,
            temporality=temporality,
            experiencer=experiencer,
        )
        writer.write(after)
