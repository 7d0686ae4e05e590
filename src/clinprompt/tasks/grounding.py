"""Grounding: from the words of an answer to exact places in the note.

The locator policy is *ordered match*. A mention is looked for from the place of the mention before it on,
then backwards from there; places at word borders are preferred over places inside words; a place that the
same label already has is passed over, so repeated words walk through the note. Where this would lead
elsewhere, the answer says which occurrence is meant (``#2``). Words that do not stand in the note are never
placed; white space that differs only in kind or length, such as a line break for a blank, is forgiven.
"""

from __future__ import annotations

import re
import unicodedata
from bisect import bisect_left
from collections.abc import Iterator, Set
from dataclasses import dataclass, replace

from clinprompt.schema.document import Fragment


@dataclass(frozen=True, slots=True)
class Part:
    """The words of one fragment and, where it was written, which occurrence of them in the note (from 1)."""

    words: str
    occurrence: int | None = None


Mention = tuple[Part, ...]
"""What an answer says of one span: a part per fragment."""


@dataclass(frozen=True, slots=True)
class Located:
    """Where a mention stands.

    ``ambiguous``: the words stand in several places and the answer did not say which; ``repeated``: every
    place was taken already.
    """

    fragments: tuple[Fragment, ...]
    ambiguous: bool = False
    repeated: bool = False


@dataclass(frozen=True, slots=True)
class _Places:
    """All places of some words in the note, in text order, and those of them that stand at word borders."""

    all: tuple[Fragment, ...]
    bordered: tuple[Fragment, ...]

    @property
    def preferred(self) -> tuple[Fragment, ...]:
        return self.bordered or self.all


class Grounder:
    """Finds mentions in one note and, for the encoder, the marks with which they will be found again."""

    def __init__(self, note: str) -> None:
        self.note = note
        self._known: dict[str, _Places] = {}

    def locate(
        self, mention: Mention, *, start: int = 0, taken: Set[tuple[Fragment, ...]] = frozenset()
    ) -> Located | None:
        """The place of a mention looked for from character ``start``; ``None`` when its words are not there.

        ``taken`` are the fragments that the mention must not be placed on again; when no other place is left
        the first of them comes back marked ``repeated``.
        """
        if not mention:
            return None
        ambiguous = any(self._marked(part) is None and len(self._places(part.words).preferred) > 1 for part in mention)
        repeated = None
        for place in self._first_places(mention[0], start):
            fragments = self._followed(place, mention[1:])
            if fragments is None:
                continue
            if fragments not in taken:
                return Located(fragments, ambiguous)
            repeated = repeated or Located(fragments, ambiguous, repeated=True)
        return repeated

    def mention(
        self,
        fragments: tuple[Fragment, ...],
        *,
        start: int = 0,
        taken: Set[tuple[Fragment, ...]] = frozenset(),
    ) -> Mention:
        """The mention of these fragments with only the occurrence marks that :meth:`locate` needs."""
        parts = [Part(self.note[begin:end]) for begin, end in fragments]
        while any(part.occurrence is None for part in parts):
            found = self.locate(tuple(parts), start=start, taken=taken)
            if found is not None and found.fragments == fragments and not found.repeated:
                break
            open_parts = [index for index, part in enumerate(parts) if part.occurrence is None]
            wrong = [i for i in open_parts if found is None or found.fragments[i] != fragments[i]]
            index = (wrong or open_parts)[0]
            number = self._places(parts[index].words).all.index(fragments[index]) + 1
            parts[index] = replace(parts[index], occurrence=number)
        return tuple(parts)

    def earliest_end(self, mention: Mention) -> int | None:
        """Where the text begins in which :meth:`locate` finds a further fragment; ``None`` for a mention not there."""
        found = (self._followed(first, mention[1:], further=True) for first in self._first_places(mention[0], 0))
        return min((fragments[-1][1] for fragments in found if fragments is not None), default=None)

    def occurrences(self, before: Mention, words: str) -> list[tuple[int, Fragment]]:
        """Occurrences of words, numbered from 1, that may be the fragment behind those of ``before``."""
        begin = (self.earliest_end(before) if before else 0) or 0
        return [(number, place) for number, place in enumerate(self._places(words).all, 1) if place[0] >= begin]

    def _marked(self, part: Part) -> Fragment | None:
        """The place that the occurrence mark names; an occurrence that is not there is as good as no mark."""
        places = self._places(part.words).all
        if part.occurrence is None or not 1 <= part.occurrence <= len(places):
            return None
        return places[part.occurrence - 1]

    def _first_places(self, part: Part, start: int) -> Iterator[Fragment]:
        marked = self._marked(part)
        if marked is not None:
            yield marked
            return
        places = self._places(part.words)
        for tier in (places.bordered, places.all):
            split = bisect_left(tier, (start, start))
            yield from tier[split:]
            yield from reversed(tier[:split])

    def _followed(self, first: Fragment, rest: Mention, *, further: bool = False) -> tuple[Fragment, ...] | None:
        """The first fragment and the rest, each the next place of its words after the fragment before it.

        A fragment with another behind it is not put at the end of the note where there is a place before that; with
        ``further`` the last one has another behind it, too.
        """
        fragments = [first]
        for left, part in zip(range(len(rest) - 1, -1, -1), rest, strict=True):
            begin, most = fragments[-1][1], len(self.note) - (left > 0 or further)
            marked = self._marked(part)
            if marked is not None:
                place = marked if marked[0] >= begin else None
            else:
                places = self._places(part.words)
                place = _next(places.bordered, begin, most) or _next(places.all, begin, most)
            if place is None:
                return None
            fragments.append(place)
        return tuple(fragments)

    def _places(self, words: str) -> _Places:
        if words not in self._known:
            found = tuple(_exact(self.note, words)) or tuple(_any_blanks(self.note, words))
            self._known[words] = _Places(found, tuple(place for place in found if _at_borders(self.note, place)))
        return self._known[words]


def _next(places: tuple[Fragment, ...], begin: int, most: int) -> Fragment | None:
    """The first of the places from ``begin`` on, if it ends by ``most``."""
    index = bisect_left(places, (begin, begin))
    return places[index] if index < len(places) and places[index][1] <= most else None


def _exact(note: str, words: str) -> Iterator[Fragment]:
    """Every occurrence, overlapping ones too."""
    at = note.find(words) if words else -1
    while at >= 0:
        yield (at, at + len(words))
        at = note.find(words, at + 1)


def _any_blanks(note: str, words: str) -> Iterator[Fragment]:
    """Occurrences that differ from the words only in their runs of white space."""
    tokens = words.split()
    if len(tokens) > 1 or (tokens and tokens[0] != words):
        yield from (match.span() for match in re.finditer(r"\s+".join(map(re.escape, tokens)), note))


def _at_borders(note: str, place: Fragment) -> bool:
    return all(at in (0, len(note)) or not (_in_word(note[at - 1]) and _in_word(note[at])) for at in place)


def _in_word(character: str) -> bool:
    return character.isalnum() or unicodedata.category(character).startswith("M")
