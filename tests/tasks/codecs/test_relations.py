from __future__ import annotations

import pytest
from hypothesis import given

from clinprompt.errors import InputError
from clinprompt.schema.document import Relation, Span
from clinprompt.schema.example import Answer
from clinprompt.schema.prediction import DecodeReport
from clinprompt.tasks.codecs.relations import RELATIONS as CODEC
from clinprompt.tasks.task import Task

from ...annotated import SAID, asserted_relations, example, relation_examples, relation_keys

TASK = Task(
    name="doses",
    kind="relations",
    codec="relations",
    instruction="Link.",
    labels=("Drug", "Dose", "Route"),
    verbalizer={"Dose": "dose"},
    relations={
        "dose of": {"head": ("Dose",), "tail": ("Drug",)},
        "given": {"head": ("Drug",), "tail": ("Dose", "Route")},
    },
    metrics=("relation-f1",),
)
NOTE = "80 mg aspirin by mouth, 80 mg aspirin again"
SPANS = (
    Span("Dose", ((0, 5),), "d1"),
    Span("Drug", ((6, 13),), "a1"),
    Span("Route", ((17, 22),), "m"),
    Span("Dose", ((24, 29),), "d2"),
    Span("Drug", ((30, 37),), "a2"),
)


def encoded(*relations):
    return CODEC.encode(example(NOTE, Answer(spans=SPANS, relations=relations)), TASK)


def decoded(text):
    return CODEC.decode(text, example(NOTE, Answer()), TASK)


def test_ends_name_their_type_only_where_several_may_stand():
    text = encoded(Relation("given", "a1", "m"), Relation("dose of", "d1", "a1"))
    assert text == "dose of: 80 mg > aspirin; given: aspirin > Route=mouth"
    assert relation_keys(decoded(text).answer) == {
        ("dose of", SPANS[0].key, SPANS[1].key),
        ("given", SPANS[1].key, SPANS[2].key),
    }


def test_an_end_of_two_relations_is_one_span():
    answer = decoded("dose of: 80 mg > aspirin; given: aspirin > Route=mouth; given: aspirin > dose=80 mg").answer
    assert [(span.id, span.start) for span in answer.spans] == [("e1", 0), ("e2", 6), ("e3", 17), ("e4", 24)]
    assert [(link.id, link.label, link.head, link.tail) for link in answer.relations] == [
        ("r1", "dose of", "e1", "e2"),
        ("r2", "given", "e2", "e3"),
        ("r3", "given", "e2", "e4"),
    ]


def test_a_later_pair_is_marked():
    text = encoded(Relation("dose of", "d2", "a2"))
    assert text == "dose of: 80 mg #2 > aspirin"
    assert relation_keys(decoded(text).answer) == {("dose of", SPANS[3].key, SPANS[4].key)}


def test_the_type_may_be_named_where_it_need_not():
    assert decoded("dose of: dose=80 mg > drug=aspirin").report == DecodeReport(items=1, ambiguous=1)


@pytest.mark.parametrize(
    "text",
    [
        "dose of: 80 mg",
        "dose of: 80 mg > aspirin > x",
        "cause of: a > b",
        "given: aspirin > mouth",
        "dose of",
        ": >",
    ],
)
def test_items_without_the_form_are_unreadable(text):
    assert decoded(text).report == DecodeReport(items=1, unreadable=1)
    assert decoded(text).answer == Answer()


def test_a_relation_with_an_end_outside_the_note_is_dropped_and_counted():
    prediction = decoded("dose of: 80 mg > ibuprofen; dose of: 81 mg > aspirin")
    assert prediction.report == DecodeReport(items=2, unlocated=2)
    assert prediction.answer == Answer()


@pytest.mark.parametrize("relation", [Relation("cause", "d1", "a1"), Relation("dose of", "a1", "d1")])
def test_gold_outside_the_schema_is_refused(relation):
    with pytest.raises(InputError, match="Allowed"):
        encoded(relation)


def test_a_relation_said_again_is_dropped_and_counted():
    found = decoded("dose of: 80 mg #1 > aspirin #1; dose of: 80 mg #1 > aspirin #1; given: aspirin #1 > Route=mouth")
    assert len(found.answer.relations) == 2 and found.report == DecodeReport(items=3, repeated=1)


STATUS = Task(
    name="use",
    kind="relations",
    codec="relations",
    instruction="Link.",
    labels=("Use", "Status", "Amount"),
    attributes={"Val": {"values": ["none", "current", "a=b, c"], "of": ["Status"]}},
    verbalizer={"none": "never"},
    relations={
        "has": {"head": ("Use",), "tail": ("Status", "Amount")},
        "is": {"head": ("Use",), "tail": ("Status",)},
    },
    metrics=("sdoh-f1",),
)


def use(*said):
    note = "no tobacco, alcohol"
    rows = [("Use", 3, 10, {}), ("Use", 12, 19, {}), *(("Status", 0, 2, {"Val": one, "other": "x"}) for one in said)]
    spans = tuple(Span(label, ((start, end),), f"s{i}", more) for i, (label, start, end, more) in enumerate(rows))
    return example(note, Answer(spans, tuple(Relation("is", f"s{i}", f"s{i + 2}") for i in range(len(said)))))


def test_attributes_of_ends_are_named_with_their_type():
    gold = use("none", "none")
    text = CODEC.encode(gold, STATUS)
    assert text == "is: tobacco > Status, never=no; is: alcohol > Status, never=no"
    back = CODEC.decode(text, gold, STATUS).answer
    assert [dict(span.attributes) for span in back.spans if span.label == "Status"] == [{"Val": "none"}]


def test_the_same_words_may_say_two_things():
    gold = use("none", "a=b, c")
    back = CODEC.decode(CODEC.encode(gold, STATUS), gold, STATUS)
    assert back.report == DecodeReport(items=2) and len(back.answer.spans) == 4
    values = {span.id: span.attributes.get("Val") for span in back.answer.spans}
    assert [values[link.tail] for link in back.answer.relations] == ["none", "a=b, c"]


def test_of_two_ends_at_one_place_the_one_is_ambiguous_that_has_no_mark():
    gold = example("tobacco, no, no", Answer())
    back = CODEC.decode("is: tobacco > Status, never=no #1; is: tobacco > Status, current=no", gold, STATUS)
    values = {span.id: span.attributes.get("Val") for span in back.answer.spans if span.fragments == ((9, 11),)}
    assert sorted(values.values()) == ["current", "none"]
    assert [values[id] for id in back.ambiguous] == ["current"] and back.report.ambiguous == 1


def test_a_value_that_the_task_does_not_have_is_refused():
    with pytest.raises(InputError, match=r"attribute Val has the value 'often'.*Allowed: none, current"):
        CODEC.encode(use("often"), STATUS)


def test_a_type_without_its_value_cannot_be_read():
    assert CODEC.decode("is: tobacco > Status=no", use(), STATUS).report == DecodeReport(items=1, unreadable=1)


@given(gold=relation_examples(SAID))
def test_relations_with_attributes_go_there_and_back(gold):
    found = CODEC.decode(CODEC.encode(gold, SAID), gold, SAID)
    assert asserted_relations(found.answer, SAID) == asserted_relations(gold.answer, SAID)
    assert not found.report.unreadable + found.report.unlocated + found.report.repeated
