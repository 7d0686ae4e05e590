from __future__ import annotations

import pytest

from clinprompt.errors import InputError
from clinprompt.schema.concepts import ConceptRelation, between_mentions, concept_relations, concepts, stated
from clinprompt.schema.document import Span


def mention(place: int, concept: str) -> Span:
    return Span("X", ((place, place + 2),), f"T{place}", {"concept": concept} if concept else {})


@pytest.mark.parametrize(
    ("value", "parts"),
    [
        ("", ()),
        ("D002318", ("D002318",)),
        ("D002318|D012131", ("D002318", "D012131")),
        ("OMIM:312080+OMIM:312920", ("OMIM:312080", "OMIM:312920")),
        ("22083,54624,76246", ("22083", "54624", "76246")),
        ("c|DEL|657|5", ("c|DEL|657|5",)),
        ("c|SUB|G|2554+1|T,rs1234", ("c|SUB|G|2554+1|T", "rs1234")),
    ],
)
def test_composite_ids_are_divided_and_variants_are_not(value, parts):
    assert concepts(mention(0, value)) == parts


def test_what_was_stated_comes_back():
    relations = (ConceptRelation("CID", "D1", "D2"), ConceptRelation("Association", "c|DEL|1|", 'a"b', "Novel"))
    assert concept_relations(stated(relations)) == relations
    assert stated(()) == {} and concept_relations({}) == ()


def test_single_places_only_what_needs_no_guess():
    spans = [mention(0, "D0001"), mention(10, "D0002"), mention(20, "D0003|D0004"), mention(30, "D0002")]
    relations = [
        ConceptRelation("a", "D0001", "D0003"),
        ConceptRelation("b", "D0001", "D0002"),
        ConceptRelation("c", "D0003", "D0004"),
        ConceptRelation("d", "D0001", "D0009"),
    ]
    found = between_mentions(relations, spans, placing="single")
    assert [(link.label, link.head, link.tail) for link in found] == [("a", "T0", "T20")]


def test_nearest_takes_the_pair_with_the_fewest_characters_between():
    spans = [mention(0, "D0001"), mention(50, "D0002"), mention(60, "D0001"), mention(90, "D0002")]
    link = ConceptRelation("a", "D0001", "D0002")
    assert [(r.head, r.tail) for r in between_mentions([link], spans, placing="nearest")] == [("T60", "T50")]
    itself = ConceptRelation("a", "D0001", "D0001")
    assert [(r.head, r.tail) for r in between_mentions([itself], spans, placing="nearest")] == [("T0", "T60")]


def test_another_placing_is_refused():
    with pytest.raises(InputError, match="single, nearest"):
        between_mentions([], [], placing="all")
