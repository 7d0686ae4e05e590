"""What two sets of examples share: the same note, nearly the same note, the same patient or document."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

from clinprompt.schema.example import Example


@dataclass(frozen=True, slots=True)
class Overlap:
    """How many examples of the second set have a note (exactly; but for blanks and case) or a group of the
    first.

    ``examples`` are the ids of all of them, in order, so that they can be left out.
    """

    exact: int
    normalised: int
    groups: int
    examples: tuple[str, ...]


def overlap(first: Sequence[Example], second: Sequence[Example]) -> Overlap:
    """Compare the notes and groups of two sets; empty notes are not compared."""
    exact = {_digest(example.note) for example in first if example.note.strip()}
    normalised = {_digest(normalise(example.note)) for example in first if example.note.strip()}
    groups = {example.group for example in first}
    same = [example.id for example in second if _digest(example.note) in exact]
    near = [example.id for example in second if _digest(normalise(example.note)) in normalised]
    kin = [example.id for example in second if example.group in groups]
    touched = {*same, *near, *kin}
    return Overlap(
        exact=len(same),
        normalised=len(near),
        groups=len({example.group for example in second} & groups),
        examples=tuple(example.id for example in second if example.id in touched),
    )


def normalise(text: str) -> str:
    """The text in one case with single blanks, for comparing only."""
    return " ".join(text.casefold().split())


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode("utf-8")).digest()
