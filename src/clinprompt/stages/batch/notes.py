"""The notes of a run in their order, cut into shards; what cannot be read keeps its place among them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any

from clinprompt.data.faults import heard
from clinprompt.data.records import document_record
from clinprompt.errors import InputError, InputErrors
from clinprompt.schema.document import Document
from clinprompt.schema.example import Example

Item = Document | Example
Entry = Item | InputError
"""A note, or why there is none at this place."""

_END = object()
_DIGEST = 16
"""Hexadecimal digits by which a note is known again."""


@dataclass(frozen=True, slots=True)
class Shard:
    """Neighbouring notes: the shard's number and the place of its first note, both from 1."""

    number: int
    first: int
    entries: tuple[Entry, ...]

    @property
    def placed(self) -> list[tuple[int, Entry]]:
        """Each entry with its place among all notes."""
        return list(enumerate(self.entries, self.first))

    @property
    def digest(self) -> str:
        """What changes with any name or text of the shard."""
        return hashlib.sha256("".join(map(entry_digest, self.entries)).encode()).hexdigest()[:_DIGEST]


class Notes:
    """Shards of at most ``size`` notes; ``items`` are gone through anew each time, one shard is held at once."""

    def __init__(self, items: Iterable[Item], *, size: int) -> None:
        self.items, self.size = items, size

    def __iter__(self) -> Iterator[Shard]:
        entries, number = _entries(self.items), 0
        while cut := tuple(islice(entries, self.size)):
            yield Shard(number + 1, number * self.size + 1, cut)
            number += 1


class ShardsInTurn:
    """Shards by their numbers: quick in rising order, read from the beginning again otherwise."""

    def __init__(self, notes: Notes) -> None:
        self._notes = notes
        self._left: Iterator[Shard] = iter(())
        self._last = 0

    def shard(self, number: int) -> Shard | None:
        """The shard of this number, ``None`` when there are fewer."""
        if number <= self._last or not self._last:
            self._left = iter(self._notes)
        for found in self._left:
            self._last = found.number
            if found.number == number:
                return found
        self._last = 0
        return None


def entry_name(entry: Entry) -> str:
    """The id of a note; of one that cannot be read the file and the line."""
    if isinstance(entry, InputErrors):
        return entry.faults[0].where
    return entry.where if isinstance(entry, InputError) else entry.id


def entry_digest(entry: Entry) -> str:
    """By what a note is known again: its id, its text and what else is asked with; the same for all that cannot be
    read.
    """
    if isinstance(entry, InputError):
        return "-" * _DIGEST
    told: Any = document_record(entry) if isinstance(entry, Document) else [entry.id, dict(entry.inputs), entry.choices]
    return hashlib.sha256(json.dumps(told).encode()).hexdigest()[:_DIGEST]


def _entries(items: Iterable[Item]) -> Iterator[Entry]:
    left, faults = iter(items), list[InputError]()
    while True:
        with heard(faults.append):  # not round the yield: what the consumer reads is not ours to hear
            item: Any = next(left, _END)
        yield from faults
        faults.clear()
        if item is _END:
            return
        yield item
