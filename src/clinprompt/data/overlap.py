"""What sets of examples share: the same note, nearly the same note, the same patient or document."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from clinprompt.data.minhash import WORDS, Sketches, sketched
from clinprompt.data.near import NEAR, Runs, runs_of
from clinprompt.schema.example import Example

PartName = tuple[str, str]
"""A task and one of its parts."""


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


@dataclass(frozen=True, slots=True)
class PartOverlap:
    """What two parts share.

    ``groups`` counts groups of the same name, between tasks only those with a note that is near in both, since many
    corpora number their documents. ``exact`` counts different notes, ``normalised`` those that differ in case and
    blanks at most. ``near_first`` and ``near_second`` count the different notes of which at least half stands in notes
    of the other part (:mod:`clinprompt.data.near`): a sentence is near the abstract it comes from, not the reverse.
    """

    first: PartName
    second: PartName
    groups: int
    exact: int
    normalised: int
    near_first: int
    near_second: int

    @property
    def nothing(self) -> bool:
        """Whether they share neither group nor note."""
        return not (self.groups or self.normalised or self.near_first or self.near_second)


class NoteIndex:
    """The notes and groups of a set of examples, ready to be compared; empty notes are left out."""

    def __init__(self, examples: Sequence[Example]) -> None:
        self.groups = {example.group for example in examples}
        self.groups_of: dict[str, set[str]] = {}
        for example in examples:
            self.groups_of.setdefault(example.note, set()).add(example.group)
        self.notes = list(dict.fromkeys(example.note for example in examples if example.note.strip()))
        self.normalised = {normalise(note) for note in self.notes}
        self.runs: Runs = runs_of(self.notes)

    @cached_property
    def sketches(self) -> Sketches:
        """What finds notes that are similar word by word (:mod:`clinprompt.data.minhash`)."""
        return sketched(runs_of(self.notes, run=WORDS))

    def near(self, other: NoteIndex, *, share: float = NEAR) -> list[str]:
        """The notes of this set of which at least this share stands in the other's."""
        shares = self.runs.shares(other.runs)
        return [self.notes[place] for place in np.flatnonzero(shares >= share)]


def compare(parts: Mapping[PartName, NoteIndex], *, share: float = NEAR, within: bool = True) -> Iterator[PartOverlap]:
    """Every pair of parts, in order; those of one task only with ``within``."""
    names = list(parts)
    for place, second in enumerate(names):
        for first in names[:place]:
            if not within and first[0] == second[0]:
                continue
            one, two = parts[first], parts[second]
            near = one.near(two, share=share), two.near(one, share=share)
            groups = one.groups & two.groups
            if first[0] != second[0]:
                groups = groups.intersection(
                    *(
                        {name for note in notes for name in index.groups_of[note]}
                        for notes, index in zip(near, (one, two), strict=True)
                    )
                )
            yield PartOverlap(
                first, second,
                groups=len(groups),
                exact=len(set(one.notes) & set(two.notes)),
                normalised=len(one.normalised & two.normalised),
                near_first=len(near[0]),
                near_second=len(near[1]),
            )  # fmt: skip


def without_overlap(
    examples: Sequence[Example], held_out: Mapping[str, NoteIndex], *, share: float = NEAR
) -> tuple[list[Example], dict[str, int]]:
    """The examples without the groups that have a note of a held-out set, and how many examples each set took.

    A note is one of the set when it is the same but for case and blanks, or when at least ``share`` of it stands in the
    set, or of a note of the set in it. Its whole group goes, for the rest of a document leaks too.
    """
    mine = NoteIndex(examples)
    kept, counts = list(examples), {}
    for name, theirs in held_out.items():
        same = (note for note in mine.notes if normalise(note) in theirs.normalised)
        leaked = {*mine.near(theirs, share=share), *same}
        swallowed = runs_of(theirs.near(mine, share=share))
        # Notes that hold a large part of a held-out note, however long they are themselves.
        for note, part in zip(mine.notes, mine.runs.shares(swallowed), strict=True):
            if part > 0 and holds(note, swallowed, share=share):
                leaked.add(note)
        groups = {example.group for example in kept if example.note in leaked}
        before = len(kept)
        kept = [example for example in kept if example.group not in groups]
        if len(kept) < before:
            counts[name] = before - len(kept)
    return kept, counts


def holds(note: str, held_out: Runs, *, share: float = NEAR) -> bool:
    """Whether at least this share of one of the texts stands in the note."""
    return bool((held_out.shares(runs_of([note])) >= share).any())
