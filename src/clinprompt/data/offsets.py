"""Offsets of one text in the units that other tools count in: code points, UTF-16 code units, bytes of UTF-8."""

from __future__ import annotations

from bisect import bisect_left
from itertools import accumulate

from clinprompt.errors import InputError

UNITS = ("codepoint", "utf16", "byte")
"""Python counts code points; JavaScript and Java count UTF-16 code units; C tools and the BioC paper count bytes."""


def checked_unit(unit: str) -> str:
    """The name of a unit; :class:`InputError` for another word."""
    if unit not in UNITS:
        raise InputError(f"the option unit has the value {unit!r}", allowed=", ".join(UNITS))
    return unit


def width(text: str, unit: str) -> int:
    """How many units a text has.

    >>> [width("é😀", unit) for unit in UNITS]
    [2, 3, 6]
    """
    if unit == "codepoint":
        return len(text)
    return len(text.encode("utf-8")) if unit == "byte" else len(text.encode("utf-16-le")) // 2


class Offsets:
    """Both directions between code points of ``text`` and offsets in ``unit``."""

    def __init__(self, text: str, unit: str) -> None:
        self.unit = checked_unit(unit)
        self.length = len(text)
        same = unit == "codepoint" or text.isascii()
        self._places = None if same else [0, *accumulate(_size(character, unit) for character in text)]

    def codepoint(self, offset: int) -> int:
        """The code point at which ``offset`` stands; :class:`InputError` inside a character or outside the text."""
        if self._places is None:
            if 0 <= offset <= self.length:
                return offset
        elif 0 <= offset <= self._places[-1]:
            place = bisect_left(self._places, offset)
            if self._places[place] == offset:
                return place
            raise InputError(f"the offset {offset} is inside a character", fix=f"check that offsets count {self.unit}s")
        last = self.length if self._places is None else self._places[-1]
        raise InputError(
            f"the offset {offset} is outside the text",
            allowed=f"0-{last}",
            fix=f"check that offsets count {self.unit}s",
        )

    def written(self, codepoint: int) -> int:
        """The offset of a code point of the text."""
        return codepoint if self._places is None else self._places[codepoint]


def _size(character: str, unit: str) -> int:
    if unit == "utf16":
        return 1 + (character > "\uffff")
    return 1 + (character > "\x7f") + (character > "\u07ff") + (character > "\uffff")
