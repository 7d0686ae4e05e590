"""A clinical text with its annotation: exact character offsets, nothing normalised."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from clinprompt.errors import InputError

Fragment = tuple[int, int]
"""Half-open character range, counted in Unicode code points of the unchanged source text."""

_EMPTY: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Span:
    """One or more fragments of a text and a label; nested, overlapping and discontinuous spans are allowed."""

    label: str
    fragments: tuple[Fragment, ...]
    id: str = ""
    attributes: Mapping[str, str] = field(default_factory=lambda: _EMPTY, hash=False)

    @property
    def start(self) -> int:
        """First character of the first fragment."""
        return self.fragments[0][0]

    @property
    def end(self) -> int:
        """One past the last character of the last fragment."""
        return self.fragments[-1][1]

    @property
    def key(self) -> tuple[str, tuple[Fragment, ...]]:
        """What makes two spans the same annotation: label and exact fragments."""
        return (self.label, self.fragments)

    def surface(self, text: str) -> str:
        """The covered text, the fragments joined by one space."""
        return " ".join(text[start:end] for start, end in self.fragments)

    def shifted(self, by: int) -> Span:
        """The same span in a text that begins ``by`` characters earlier."""
        moved = tuple((start + by, end + by) for start, end in self.fragments)
        return Span(label=self.label, fragments=moved, id=self.id, attributes=self.attributes)


@dataclass(frozen=True, slots=True)
class Relation:
    """A labelled link between two spans of one document, named by their ids."""

    label: str
    head: str
    tail: str
    id: str = ""


@dataclass(frozen=True, slots=True)
class Document:
    """Text, spans and relations of one note; ``group`` is the patient (or the document) that splits never divide."""

    id: str
    text: str
    spans: tuple[Span, ...] = ()
    relations: tuple[Relation, ...] = ()
    group: str = ""
    metadata: Mapping[str, str] = field(default_factory=lambda: _EMPTY, hash=False)

    def __post_init__(self) -> None:
        if not self.group:
            object.__setattr__(self, "group", self.id)
        check_spans(self.spans, length=len(self.text), where=f"document {self.id}")
        check_relations(self.relations, self.spans, where=f"document {self.id}")

    def span(self, span_id: str) -> Span:
        """The span with this id; :class:`KeyError` when there is none."""
        for span in self.spans:
            if span.id == span_id:
                return span
        raise KeyError(span_id)


def check_spans(spans: tuple[Span, ...], *, length: int, where: str) -> None:
    """Raise :class:`InputError` unless every fragment lies in the text, is not empty and follows the one before."""
    for span in spans:
        last = 0
        if not span.fragments or not span.label:
            raise InputError(f"span {span.id or span.label!r} has no fragment or no label", where=where)
        for start, end in span.fragments:
            if not (last <= start < end <= length):
                raise InputError(
                    f"span {span.id or span.label!r} has the fragment {start}-{end}, which is empty, out of order or "
                    "outside the text",
                    where=where,
                    allowed=f"start < end within 0-{length}, fragments in text order",
                )
            last = end


def check_relations(relations: tuple[Relation, ...], spans: tuple[Span, ...], *, where: str) -> None:
    """Raise :class:`InputError` unless every relation joins two spans of the same document."""
    ids = {span.id for span in spans}
    for relation in relations:
        for end in (relation.head, relation.tail):
            if not end or end not in ids:
                name = relation.id or relation.label
                raise InputError(f"relation {name!r} names the span {end!r}, which is not there", where=where)
