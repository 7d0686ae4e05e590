"""What a synthetic note says: its mentions, what relations link to them, and what it does not contain."""

from __future__ import annotations

import random

from clinprompt.data.readers.synthetic.vocabulary import TERMS
from clinprompt.schema.document import Document, Span


def surfaces(note: Document, *labels: str) -> list[str]:
    """The words of all spans with one of these labels, in text order."""
    return [span.surface(note.text) for span in sorted(spans(note, *labels), key=lambda span: span.start)]


def spans(note: Document, *labels: str) -> list[Span]:
    """All spans with one of these labels."""
    return [span for span in note.spans if span.label in labels]


def linked(note: Document, relation: str, head: Span) -> list[str]:
    """The words that a relation links to a span."""
    return [note.span(r.tail).surface(note.text) for r in note.relations if r.label == relation and r.head == head.id]


def absent_term(note: Document, kind: str, rng: random.Random) -> str:
    """A term that this note does not contain; reserved ones only for notes that use reserved terms."""
    terms = TERMS[kind]
    pool = terms.source + (terms.reserved if note.metadata["reserved"] == "yes" else ())
    return rng.choice([term for term in pool if term not in note.text])


def other_than(rng: random.Random, options: tuple[str, ...], right: str, count: int) -> list[str]:
    """So many different options that are not the right one."""
    return rng.sample([option for option in options if option != right], count)
