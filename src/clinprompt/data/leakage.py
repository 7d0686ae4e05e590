"""Scored examples that were seen before: their notes, parts of them, or other notes of the same patient."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from clinprompt.data.minhash import SIMILAR, similar
from clinprompt.data.near import NEAR, RUN, runs_of
from clinprompt.data.overlap import NoteIndex, holds, normalise
from clinprompt.schema.example import Example


@dataclass(frozen=True, slots=True)
class Leak:
    """How many of the scored examples have a note that was seen, and in which way; one example may count in several.

    ``exact``: the same note; ``normalised``: the same but for case and blanks; ``near``: a large part of it was seen,
    or a large part of a seen note stands in it; ``similar``: most word triples are the same; ``groups``: the patient
    was seen. ``examples`` are the ids of all of them.
    """

    exact: int
    normalised: int
    near: int
    similar: int
    groups: int
    examples: tuple[str, ...]


def patients_of(examples: Iterable[Example]) -> set[str]:
    """The groups of examples that are patients: none that is called like a note."""
    groups, notes = set[str](), set[str]()
    for one in examples:
        groups.add(one.group)
        notes.update((one.id, one.document))
    return groups - notes


def of_one_corpus(first: Iterable[Example], second: Iterable[Example]) -> bool:
    """Whether groups of one name are the same patient in two tasks: some note stands in both, in the same group.

    Notes of fewer than eight words do not count: "No complaints." may stand in group 1 of any corpus.
    """
    known = {(one.note, one.group) for one in first if len(one.note.split()) >= RUN}
    return any((one.note, one.group) in known for one in second)


class Watch:
    """Looks out for scored examples in whatever is shown to it, a part at a time.

    ``same_groups``: groups of one name are one patient, as within a task and between those :func:`of_one_corpus`,
    wherever patients are named at all: a group that is called like its note is none, for many corpora number the notes
    of each file anew. Between other tasks only notes are compared.
    """

    def __init__(
        self,
        examples: Sequence[Example],
        *,
        index: NoteIndex | None = None,
        same_groups: bool = False,
        share: float = NEAR,
        threshold: float = SIMILAR,
    ) -> None:
        self._examples, self._index = examples, index or NoteIndex(examples)
        self._share, self._threshold, self._same_groups = share, threshold, same_groups
        self._exact, self._normalised, self._holding, self._similar = (set[str]() for _ in range(4))
        self._known = np.zeros(len(self._index.runs.known), dtype=bool)
        self._patients = patients_of(examples)
        self._groups: set[str] = set()

    def see(self, seen: NoteIndex) -> None:
        """Take notice of some notes that were trained on."""
        mine = self._index
        self._exact.update(note for note in mine.notes if note in seen.groups_of)
        self._normalised.update(note for note in mine.notes if normalise(note) in seen.normalised)
        self._known |= np.isin(mine.runs.known, seen.runs.known, assume_unique=True)
        self._holding.update(self._that_hold(seen))
        found = similar(mine.sketches, seen.sketches, threshold=self._threshold)
        self._similar.update(mine.notes[place] for place in found)
        if self._same_groups:
            self._groups |= self._patients & seen.groups

    def leak(self) -> Leak:
        """What was seen so far; parts of a note add up over all that was shown."""
        mine = self._index
        shares = mine.runs.shares(replace(mine.runs, known=mine.runs.known[self._known]))
        near = {mine.notes[place] for place in np.flatnonzero(shares >= self._share)} | self._holding
        kinds = {"exact": self._exact, "normalised": self._normalised, "near": near, "similar": self._similar}
        seen = set().union(*kinds.values())
        return Leak(
            **{kind: sum(example.note in notes for example in self._examples) for kind, notes in kinds.items()},
            groups=sum(example.group in self._groups for example in self._examples),
            examples=tuple(
                example.id for example in self._examples if example.note in seen or example.group in self._groups
            ),
        )

    def _that_hold(self, seen: NoteIndex) -> list[str]:
        """My notes in which a large part of a seen note stands, however long they are themselves."""
        inside = seen.near(self._index, share=self._share)
        if not inside:
            return []
        runs = runs_of(inside)
        shares = self._index.runs.shares(runs)
        pairs = zip(self._index.notes, shares, strict=True)
        return [
            note for note, part in pairs
            if part > 0 and note not in self._holding and holds(note, runs, share=self._share)
        ]  # fmt: skip
