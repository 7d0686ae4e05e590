"""Chunks of token tags in the BIO family: IOB1, IOB2, BIOES and BILOU read by one rule."""

from __future__ import annotations

from collections.abc import Sequence

_OPENING, _INSIDE, _CLOSING = "BSU", "IEL", "ESLU"


def is_tag(tag: str) -> bool:
    """Whether this is ``O`` or a prefix letter, ``-`` and a label."""
    return tag == "O" or (len(tag) > 2 and tag[1] == "-" and tag[0] in _OPENING + _INSIDE)


def chunks(tags: Sequence[str]) -> list[tuple[str, int, int]]:
    """(label, first token, last token) of each chunk, as the conlleval scorer counts them.

    A chunk begins at B, S or U, and at an inside tag that follows ``O``, a closed chunk or another label.

    >>> chunks(["B-drug", "I-drug", "O", "I-dose"])
    [('drug', 0, 1), ('dose', 3, 3)]
    """
    found: list[tuple[str, int, int]] = []
    open_label = ""
    for place, tag in enumerate(tags):
        if tag == "O":
            open_label = ""
            continue
        prefix, label = tag[0], tag[2:]
        if prefix in _INSIDE and label == open_label:
            found[-1] = (label, found[-1][1], place)
        else:
            found.append((label, place, place))
        open_label = "" if prefix in _CLOSING else label
    return found
