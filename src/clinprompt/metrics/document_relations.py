"""Relations between the concepts of a whole document (BC5CDR's chemical-induced disease, BioRED)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np

from clinprompt.metrics.matching import overlap, shared
from clinprompt.metrics.metric import Counts, Metric, Part, f1
from clinprompt.schema.concepts import concept_mentions, concept_relations, concepts
from clinprompt.schema.document import Span
from clinprompt.schema.example import Answer, Example

Triple = tuple[str, str, str]
"""Relation label and the concept ids of its two ends."""


def document_relation_f1(labels: Sequence[str] = ()) -> Metric:
    """Micro-F1 over the different (relation, head concept, tail concept) of each document, as for BC5CDR CID."""
    return ConceptRelationF1("document-relation-f1")


def document_relation_f1_undirected(labels: Sequence[str] = ()) -> Metric:
    """Micro-F1 over the different (relation, two concepts in any order) of each document, as for BioRED."""
    return ConceptRelationF1("document-relation-f1:undirected", directed=False)


@dataclass(frozen=True, slots=True)
class ConceptRelationF1:
    """``[hits, predicted, gold]`` over the different concept pairs of a document, from all its windows together.

    Gold are the relations that the corpus states, whether or not a window holds mentions of both ends. A predicted
    relation joins mentions; their concepts are looked up among the gold mentions: those with the same place, else
    the one of the same label that shares most characters. A mention found nowhere is a concept of its own words.
    This is a score with gold normalisation, for a task that predicts mentions but no concept ids.
    """

    name: str
    directed: bool = True

    def counts(self, gold: Example, predicted: Answer) -> Counts:
        """The counts of one example as if it were the whole document."""
        return self.document_counts([(gold, predicted)])

    def document_counts(self, parts: Sequence[Part]) -> Counts:
        """The counts of one document; every part's metadata names all its mentions and relations."""
        metadata = parts[0][0].metadata
        mentions = concept_mentions(metadata)
        stated = (
            (relation.label, head, tail)
            for relation in concept_relations(metadata)
            for head, tail in product(_ids(relation.head), _ids(relation.tail))
        )
        expected = {self._turned(triple) for triple in stated}
        given = {self._turned(triple) for example, answer in parts for triple in _predicted(example, answer, mentions)}
        return np.array([len(expected & given), len(given), len(expected)], dtype=np.float64)

    def value(self, total: Counts) -> Counts:
        """F1 in percent for sums ``[..., 3]``."""
        return f1(total[..., 0], total[..., 1], total[..., 2], nothing=100.0)

    def _turned(self, triple: Triple) -> Triple:
        label, head, tail = triple
        return triple if self.directed or head <= tail else (label, tail, head)


def _predicted(example: Example, answer: Answer, mentions: Sequence[Span]) -> Iterator[Triple]:
    spans = {span.id: span for span in answer.spans}
    for link in answer.relations:
        ends = (_concepts(spans[link.head], example, mentions), _concepts(spans[link.tail], example, mentions))
        for head, tail in product(*ends):
            yield link.label, head, tail


def _concepts(span: Span, example: Example, mentions: Sequence[Span]) -> tuple[str, ...]:
    placed = span.shifted(example.offset)
    same = [mention for mention in mentions if mention.fragments == placed.fragments]
    near = [m for m in mentions if m.label == span.label and overlap(m.fragments, placed.fragments)]
    if same:
        return concepts(next((mention for mention in same if mention.label == span.label), same[0]))
    if near:
        return concepts(max(near, key=lambda mention: shared(mention.fragments, placed.fragments)))
    return (f"{span.label}: {span.surface(example.note).casefold()}",)


def _ids(concept: str) -> tuple[str, ...]:
    """The parts of a composite id, as :func:`concepts` has them."""
    return concepts(Span("", (), attributes={"concept": concept}))
