from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clinprompt.errors import InputError
from clinprompt.schema.document import Span
from clinprompt.schema.example import Answer
from clinprompt.schema.prediction import DecodeReport
from clinprompt.tasks.codecs.entities import ENTITIES as CODEC
from clinprompt.tasks.task import Task

from ...annotated import ENTITIES, entity_examples, example

TASK = Task(
    name="drugs",
    kind="entities",
    codec="entities",
    instruction="List drugs and doses.",
    labels=("Drug", "Dose"),
    verbalizer={"Drug": "drug", "Dose": "dose"},
    metrics=("span-f1",),
)
NOTE = "Aspirin 80 mg daily. Stop aspirin; left and right arm pain."


def spans(*rows):
    return tuple(Span(label, fragments, f"g{i}") for i, (label, fragments) in enumerate(rows))


def decoded(text, note=NOTE):
    prediction = CODEC.decode(text, example(note, Answer()), TASK)
    return [(span.label, span.surface(note), span.start) for span in prediction.answer.spans], prediction.report


def test_items_are_written_in_text_order_with_the_verbalizer_words():
    gold = spans(("Dose", ((8, 13),)), ("Drug", ((26, 33),)), ("Drug", ((0, 7),)))
    assert CODEC.encode(example(NOTE, Answer(spans=gold)), TASK) == "drug: Aspirin; dose: 80 mg; drug: aspirin"


def test_nothing_is_the_word_none_both_ways():
    assert CODEC.encode(example(NOTE, Answer()), TASK) == "none"
    assert decoded("None.") == ([], DecodeReport())


def test_fragments_are_joined_and_found_in_order():
    gold = spans(("Drug", ((35, 39), (50, 53))))
    text = CODEC.encode(example(NOTE, Answer(spans=gold)), TASK)
    assert text == "drug: left | arm"
    assert CODEC.decode(text, example(NOTE, Answer()), TASK).answer.spans[0].fragments == ((35, 39), (50, 53))


def test_a_later_repeat_alone_is_marked_with_its_occurrence():
    note = "pain, then pain, then pain"
    gold = spans(("Drug", ((22, 26),)))
    assert CODEC.encode(example(note, Answer(spans=gold)), TASK) == "drug: pain #3"
    assert decoded("drug: pain #3", note)[0] == [("Drug", "pain", 22)]


def test_repeats_walk_through_the_note_without_marks():
    note = "pain, then pain, then pain"
    found, report = decoded("drug: pain; drug: pain; drug: pain; drug: pain", note)
    assert [start for _, _, start in found] == [0, 11, 22]
    assert report == DecodeReport(items=4, ambiguous=3, repeated=1)


def test_a_word_is_preferred_to_the_inside_of_a_word():
    assert decoded("drug: pt", "septum of the pt")[0] == [("Drug", "pt", 14)]
    assert decoded("drug: pt", "septum")[0] == [("Drug", "pt", 2)]


def test_what_cannot_be_used_is_counted_not_invented():
    found, report = decoded("drug: aspirin; virus: flu; drug: ibuprofen; nonsense; dose:")
    assert found == [("Drug", "aspirin", 26)]
    assert report == DecodeReport(items=5, unreadable=3, unlocated=1, ambiguous=0)


@pytest.mark.parametrize(
    "text",
    ["DRUG:Aspirin;  Dose : 80 mg.", "drug: Aspirin\n;\ndose: 80\nmg", " drug:  Aspirin ;dose: 80  mg;"],
)
def test_case_of_labels_blanks_and_a_full_stop_are_forgiven(text):
    assert decoded(text)[0] == [("Drug", "Aspirin", 0), ("Dose", "80 mg", 8)]


def test_a_mention_may_end_with_its_own_full_stop():
    assert decoded("drug: pain.")[0] == [("Drug", "pain.", 54)]


def test_silence_is_unreadable_not_none():
    assert decoded("")[1] == DecodeReport(items=1, unreadable=1)


def test_a_gold_label_outside_the_schema_is_refused_without_note_text():
    with pytest.raises(InputError) as fault:
        CODEC.encode(example("secret name", Answer(spans=spans(("Name", ((0, 6),))))), TASK)
    assert "Name" in str(fault.value) and "characters 0-6" in str(fault.value)
    assert "secret" not in str(fault.value)


@given(entity_examples())
def test_the_order_of_gold_spans_does_not_matter(gold):
    turned = example(gold.note, Answer(spans=gold.answer.spans[::-1]))
    assert CODEC.encode(gold, ENTITIES) == CODEC.encode(turned, ENTITIES)


ASSERTED = Task(
    name="asserted",
    kind="entities",
    codec="entities",
    instruction="List problems and drugs.",
    labels=("Problem", "Drug"),
    verbalizer={"Problem": "problem", "family": "of a relative: odd; words"},
    attributes={
        "assertion": {"values": ("present", "absent", "family"), "of": ("Problem",), "usual": "present"},
        "time": {"values": ("now", "past"), "of": ("Problem",), "usual": "now"},
        "route": {"values": ("oral", "other"), "of": ("Drug",)},
    },
    metrics=("span-f1",),
)


@st.composite
def asserted_examples(draw):
    drawn = draw(entity_examples(ASSERTED))
    values = {"assertion": ("present", "absent", "family"), "time": ("now", "past"), "route": ("oral", "other")}

    def said(span):
        names = ("assertion", "time") if span.label == "Problem" else ("route",)
        return replace(span, attributes={name: draw(st.sampled_from(values[name])) for name in names})

    return replace(drawn, answer=Answer(spans=tuple(said(span) for span in drawn.answer.spans)))


@given(gold=asserted_examples())
def test_attributes_come_back_with_their_spans(gold):
    expected = {span.key: dict(span.attributes) for span in reversed(gold.answer.spans)}
    found = CODEC.decode(CODEC.encode(gold, ASSERTED), gold, ASSERTED)
    assert {span.key: dict(span.attributes) for span in found.answer.spans} == expected
    assert found.report.unreadable == found.report.unlocated == 0


def test_the_usual_value_is_not_written():
    note = "No fever, now cough. Aspirin."
    spans = (
        Span("Problem", ((3, 8),), attributes={"assertion": "absent", "time": "past"}),
        Span("Problem", ((14, 19),), attributes={"colour": "not asked for"}),
        Span("Drug", ((21, 28),), attributes={"route": "oral"}),
    )
    gold = example(note, Answer(spans=spans))
    assert CODEC.encode(gold, ASSERTED) == "problem, absent, past: fever; problem: cough; Drug, oral: Aspirin"
    assert len(ASSERTED.forms()) == 3 * 2 + 2


@pytest.mark.parametrize("attributes", [{"route": "odd"}, {}])
def test_a_value_that_the_task_does_not_have_is_refused(attributes):
    gold = example("Aspirin", Answer(spans=(Span("Drug", ((0, 7),), attributes=attributes),)))
    with pytest.raises(InputError, match="attribute route") as caught:
        CODEC.encode(gold, ASSERTED)
    assert "Aspirin" not in str(caught.value) and "oral, other" in str(caught.value)


def test_an_unknown_value_makes_the_item_unreadable():
    found = CODEC.decode("problem, gone: fever; Problem, Absent: fever", example("fever", Answer()), ASSERTED)
    assert found.report == DecodeReport(items=2, unreadable=1)
    assert [dict(span.attributes) for span in found.answer.spans] == [{"assertion": "absent", "time": "now"}]
