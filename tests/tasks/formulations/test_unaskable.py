from __future__ import annotations

from hypothesis import given

from clinprompt.schema.document import Relation, Span
from clinprompt.schema.example import Answer
from clinprompt.tasks.formulations.unaskable import Unaskable, unaskable
from tests.annotated import (
    ENTITIES,
    RELATIONS,
    SAID,
    entity_examples,
    example,
    relation_examples,
    relation_keys,
    span_keys,
)


def test_every_reason_is_counted_once_and_told():
    spans = (
        Span("Drug", ((0, 1),), id="1"),
        Span("Drug", ((0, 1), (2, 3)), id="2"),
        Span("Odd", ((4, 6),), id="3"),
        Span("Drug", ((4, 6),), id="4"),
    )
    links = (
        Relation("any", "1", "1"),
        Relation("any", "1", "2"),
        Relation("any", "2", "2"),
        Relation("any", "1", "3"),
        Relation("any", "3", "1"),
        Relation("any", "1", "4"),
        Relation("any", "1", "4"),
    )
    one = example("abcdefg", Answer(spans=spans, relations=links))
    whole = unaskable(one, ENTITIES, borders=lambda place: place != (4, 6))
    assert whole == Unaskable(answers=4, parts=1, borders=2) and whole.total == 3
    assert str(whole) == "3 of 4 answers cannot be asked: 1 in several parts, 2 not at token borders"
    linked = unaskable(one, RELATIONS, borders=lambda place: place != (4, 6))
    assert linked == Unaskable(answers=6, itself=2, parts=1, borders=3)
    assert str(unaskable(one, RELATIONS)).endswith("2 of a mention with itself, 1 in several parts")
    assert whole + linked == Unaskable(10, 2, 2, 0, 5)
    assert str(Unaskable(3)) == "0 of 3 answers cannot be asked"


def test_a_relation_that_only_says_another_value_is_counted():
    places = [("Drug", 0, "yes"), ("Drug", 0, "no; not"), ("Drug", 2, "yes"), ("Drug", 2, "no; not")]
    spans = tuple(
        Span(label, ((start, start + 1),), id=str(i), attributes={"Sure": sure, "When": "now"})
        for i, (label, start, sure) in enumerate(places)
    )
    links = tuple(Relation("any", head, tail) for head, tail in [("0", "2"), ("0", "3"), ("1", "2"), ("2", "0")])
    found = unaskable(example("a b", Answer(spans=spans, relations=links)), SAID)
    assert found == Unaskable(answers=4, values=2)
    assert str(found) == "2 of 4 answers cannot be asked: 2 with a second value of an attribute"


@given(one=entity_examples(), other=relation_examples())
def test_what_cannot_be_asked_is_what_is_not_two_whole_places(one, other):
    keys = span_keys(one.answer)
    found = unaskable(one, ENTITIES)
    assert (found.answers, found.parts, found.itself) == (len(keys), sum(len(key[1]) > 1 for key in keys), 0)
    links = relation_keys(other.answer)
    lost = unaskable(other, RELATIONS)
    assert lost.answers == len(links)
    assert lost.total == sum(
        head == tail or len(head[1]) > 1 or len(tail[1]) > 1 for _, head, tail in links
    )  # fmt: skip
    assert unaskable(one, ENTITIES, borders=lambda place: False).total == len(keys)
