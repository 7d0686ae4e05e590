"""A question about a context as token ids, with the exact characters of the context that each token stands for."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from typing import Any

from clinprompt.backbones.protocol import ReadingRow
from clinprompt.backbones.spelling import spell
from clinprompt.schema.document import Fragment
from clinprompt.schema.formulated import SpanQuestion

MARKS = ("* ", " *")
"""What is written before and behind a head in its context."""


@dataclass(frozen=True, slots=True)
class PairLayout:
    """How a tokenizer lays out two texts: its special tokens before, between and behind them, and all token types.

    ``types`` are those of the three groups of special tokens (one per token) and of the two texts.
    """

    before: tuple[int, ...]
    between: tuple[int, ...]
    after: tuple[int, ...]
    special_types: tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]
    text_types: tuple[int, int]

    @classmethod
    def of(cls, tokenizer: Any) -> PairLayout:
        """Read the layout off a pair of one-letter texts."""
        probe = tokenizer("a", "b", return_token_type_ids=True)
        sides = probe.sequence_ids(0)
        first, second = sides.index(0), sides.index(1)
        stop = {side: len(sides) - sides[::-1].index(side) for side in (0, 1)}
        cuts = [slice(0, first), slice(stop[0], second), slice(stop[1], None)]
        ids, types = probe["input_ids"], probe["token_type_ids"]
        before, between, after = (tuple(ids[cut]) for cut in cuts)
        special = tuple(types[cuts[0]]), tuple(types[cuts[1]]), tuple(types[cuts[2]])
        return cls(before, between, after, special, (types[first], types[second]))


@dataclass(frozen=True, slots=True)
class ContextTokens:
    """A context as tokens: their ids, their characters in it, and the tokens that begin and end at a character.

    Of tokens that share a character (the bytes of a letter) the first begins there and the last ends there.
    """

    ids: tuple[int, ...]
    places: tuple[Fragment | None, ...]
    starts: Mapping[int, int]
    ends: Mapping[int, int]

    def gold(self, answers: Sequence[Fragment]) -> tuple[tuple[tuple[int, int], ...], int]:
        """Answers as (first, last) tokens, both inclusive, and how many have borders that are not those of tokens."""
        found = [
            (self.starts[start], self.ends[end])
            for start, end in answers
            if start in self.starts and end in self.ends and start < end
        ]
        found = [pair for pair in found if pair[0] <= pair[1]]
        return tuple(dict.fromkeys(found)), len(answers) - len(found)


@lru_cache(maxsize=8)  # the questions about one context come one after the other
def context_tokens(tokenizer: Any, context: str, head: Fragment | None) -> ContextTokens:
    """A context, untrusted, with marks around its head."""
    text, origin = marked(context, head)
    ids, offsets = spelled(tokenizer, text)
    places = token_places(offsets, text, origin)
    starts: dict[int, int] = {}
    ends: dict[int, int] = {}
    for k, place in enumerate(places):
        if place is not None:
            starts.setdefault(place[0], k)
            ends[place[1]] = k
    return ContextTokens(tuple(ids), places, starts, ends)


def question_row(tokenizer: Any, layout: PairLayout, question: SpanQuestion, *, name: str) -> ReadingRow:
    """Token ids of a question and its context, both untrusted: what looks like a special token is read as text."""
    asked, _ = spelled(tokenizer, question.question)
    context = context_tokens(tokenizer, question.context, question.head)
    read, gold = context.ids, context.gold(question.answers)
    first = len(layout.before) + len(asked) + len(layout.between)
    special, (of_question, of_context) = layout.special_types, layout.text_types
    types = (*special[0], *[of_question] * len(asked), *special[1], *[of_context] * len(read), *special[2])
    return ReadingRow(
        name=name,
        tokens=(*layout.before, *asked, *layout.between, *read, *layout.after),
        segments=types,
        first=first,
        last=first + len(read),
        places=context.places,
        gold=gold[0],
        lost=gold[1],
    )


def spelled(tokenizer: Any, text: str, *, trusted: bool = False) -> tuple[list[int], list[Fragment]]:
    """Token ids of a text without special tokens around it, and the characters that each comes from.

    An untrusted text has no special token but that of unknown characters.
    """
    found = spell(tokenizer, text, trusted=trusted, offsets=True)
    ids, offsets = found["input_ids"], found["offset_mapping"]
    special = set() if trusted else set(tokenizer.all_special_ids) - {tokenizer.unk_token_id}
    faults = [offsets[k] for k, token in enumerate(ids) if token in special]
    return (ids, offsets) if not faults else _cut(tokenizer, text, faults)


def _cut(tokenizer: Any, text: str, faults: Sequence[Fragment]) -> tuple[list[int], list[Fragment]]:
    """Spell a text in parts, with a cut inside each word that is spelled as a special token.

    SentencePiece vocabularies hold special tokens among their pieces, where nothing else keeps text from them.
    """
    if len(text) < 2:
        return [tokenizer.unk_token_id], [(0, len(text))]
    cuts = [0, *sorted({min(max(start + 1, 1), len(text) - 1) for start, _ in faults}), len(text)]
    ids: list[int] = []
    offsets: list[Fragment] = []
    for start, end in pairwise(cuts):
        more, places = spelled(tokenizer, text[start:end])
        ids += more
        offsets += [(start + first, start + last) for first, last in places]
    return ids, offsets


def marked(context: str, head: Fragment | None) -> tuple[str, list[int | None]]:
    """The context with marks around its head, and where each character was before (``None`` for the marks)."""
    if head is None:
        return context, list(range(len(context)))
    start, end = head
    text = context[:start] + MARKS[0] + context[start:end] + MARKS[1] + context[end:]
    origin: list[int | None] = [*range(start), *[None] * len(MARKS[0]), *range(start, end)]
    return text, [*origin, *[None] * len(MARKS[1]), *range(end, len(context))]


def token_places(offsets: Sequence[Fragment], text: str, origin: Sequence[int | None]) -> tuple[Fragment | None, ...]:
    """The characters of the context that each token stands for, without blanks at their ends.

    Byte-level tokens take the blank before a word with them; it is no part of the word. Accents that a normaliser
    strips belong to the letter before. A token of blanks alone has no place.
    """
    places: list[Fragment | None] = []
    for k, (start, end) in enumerate(offsets):
        limit = offsets[k + 1][0] if k + 1 < len(offsets) else len(text)
        while start < end < limit and unicodedata.category(text[end]) == "Mn":
            end += 1
        while start < end and text[start].isspace():
            start += 1
        while start < end and text[end - 1].isspace():
            end -= 1
        own = [at for at in origin[start:end] if at is not None]
        places.append((own[0], own[-1] + 1) if own else None)
    return tuple(places)
