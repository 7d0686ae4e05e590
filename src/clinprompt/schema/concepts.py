"""Concept ids of mentions, and relations that a corpus states between the concepts of a document.

A mention carries its id in the span attribute :data:`CONCEPT`. Relations between concepts stand in the document's
metadata under :data:`STATED`, as a JSON list of ``[label, head id, tail id, remark]``, so that a score by document
stays possible whatever became of them as relations between mentions. In the examples of a relation task, which hold
only the mentions at the ends of relations, all mentions with a concept stand under :data:`MENTIONED` as ``[label,
concept, start, end, …]``.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import astuple, dataclass

from clinprompt.errors import InputError
from clinprompt.schema.document import Relation, Span

CONCEPT, STATED, MENTIONED = "concept", "concept relations", "concept mentions"
PLACINGS = ("single", "nearest")
_PART = re.compile(r"([A-Za-z]+:)?[A-Za-z]{0,2}[0-9]{4,}|-1")


@dataclass(frozen=True, slots=True)
class ConceptRelation:
    """A labelled link between two concept ids of one document; ``remark`` is what the corpus adds (novelty)."""

    label: str
    head: str
    tail: str
    remark: str = ""


def concepts(span: Span) -> tuple[str, ...]:
    """The concept ids of a mention, those of a composite mention one by one.

    Commas and semicolons always divide ids; ``|`` and ``+`` only where all parts have the form of an id, for
    sequence variants are written with them (``c|SUB|G|2554+1|T``). An unknown concept is ``-1``.

    >>> concepts(Span("Disease", ((0, 4),), attributes={"concept": "D002318|D012131"}))
    ('D002318', 'D012131')
    """
    found: list[str] = []
    for name in re.split(r"[,;]", span.attributes.get(CONCEPT, "")):
        parts = re.split(r"[|+]", name)
        found += parts if all(_PART.fullmatch(part) for part in parts) else [name]
    return tuple(name for name in found if name)


def stated(relations: Sequence[ConceptRelation]) -> dict[str, str]:
    """The metadata entry that holds the relations; empty for none."""
    return {STATED: json.dumps([astuple(relation) for relation in relations])} if relations else {}


def concept_relations(metadata: Mapping[str, str]) -> tuple[ConceptRelation, ...]:
    """The relations that :func:`stated` wrote."""
    return tuple(ConceptRelation(*parts) for parts in json.loads(metadata.get(STATED, "[]")))


def mentioned(spans: Sequence[Span]) -> dict[str, str]:
    """The metadata entry that holds the mentions with a concept, offsets in the document; empty for none."""
    rows = [
        [span.label, span.attributes[CONCEPT], *(place for fragment in span.fragments for place in fragment)]
        for span in spans
        if span.attributes.get(CONCEPT)
    ]
    return {MENTIONED: json.dumps(rows)} if rows else {}


def concept_mentions(metadata: Mapping[str, str]) -> tuple[Span, ...]:
    """The mentions that :func:`mentioned` wrote."""
    return tuple(
        Span(label, tuple(zip(places[::2], places[1::2], strict=True)), attributes={CONCEPT: concept})
        for label, concept, *places in json.loads(metadata.get(MENTIONED, "[]"))
    )


def between_mentions(
    relations: Sequence[ConceptRelation], spans: Sequence[Span], *, placing: str, directed: bool = True
) -> list[Relation]:
    """Relations between mentions, at most one for each relation between concepts.

    ``single``: only where each concept has exactly one mention, so that nothing is guessed. ``nearest``: between
    the two mentions with the fewest characters between them (the first such pair), a convention that does not
    come from the annotators. A mention is never related to itself. Without ``directed`` the first mention in the
    text is the head. Raises :class:`InputError` for another
    ``placing``.
    """
    if placing not in PLACINGS:
        raise InputError(f"the option concepts has the value {placing!r}", allowed=", ".join(PLACINGS))
    mentions: dict[str, list[Span]] = {}
    for span in spans:
        for name in dict.fromkeys((span.attributes.get(CONCEPT, ""), *concepts(span))):
            mentions.setdefault(name, []).append(span)
    found: list[Relation] = []
    for relation in relations:
        heads, tails = mentions.get(relation.head, []), mentions.get(relation.tail, [])
        if placing == "single" and (len(heads) > 1 or len(tails) > 1):
            continue
        pairs = [(head, tail) for head in heads for tail in tails if head is not tail]
        if pairs:
            head, tail = min(pairs, key=lambda pair: _gap(*pair))
            if not directed and (tail.start, tail.end) < (head.start, head.end):
                head, tail = tail, head
            found.append(Relation(label=relation.label, head=head.id, tail=tail.id, id=f"R{len(found) + 1}"))
    return found


def _gap(head: Span, tail: Span) -> int:
    return max(0, max(head.start, tail.start) - min(head.end, tail.end))
