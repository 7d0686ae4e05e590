from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings

from clinprompt.errors import InputError
from clinprompt.schema.document import Relation, Span
from clinprompt.schema.example import Answer, Example
from clinprompt.tasks.catalog import catalog, load_task, task_from
from clinprompt.tasks.formulations.asks import can_be_read, questions
from clinprompt.tasks.formulations.reading import (
    first_pass,
    gold_heads,
    second_pass,
    training_questions,
)
from clinprompt.tasks.formulations.unaskable import unaskable
from tests.annotated import ENTITIES, RELATIONS, entity_examples, example, relation_examples, relation_keys

TASKS = [load_task(name) for name in catalog()]


def test_a_label_is_asked_for_by_its_words_or_in_a_full_question():
    task = load_task("medications")
    assert [ask.text for ask in questions(task, wording="label")] == ["medication", "strength"]
    assert questions(task, wording="words")[0].text == "Find all mentions of medication in the text."
    written = task.model_copy(update={"questions": {"drug": "Which drugs are taken?"}})
    assert [ask.text for ask in questions(written, wording="words")] == [
        "Which drugs are taken?",
        "Find all mentions of strength in the text.",
    ]
    with pytest.raises(InputError, match="Did you mean words"):
        questions(task, wording="word")


def test_details_are_asked_for_of_the_drug_whichever_end_of_the_relation_it_is():
    task = load_task("n2c2-2018-relations")
    asks = questions(task, wording="words")
    assert [ask.label for ask in asks if not ask.of] == ["Drug"]
    assert {(ask.label, ask.of, ask.finds) for ask in asks if ask.of} == {
        (f"{label}-Drug", "Drug", label) for label in task.labels if label != "Drug"
    }
    one = example("aspirin 5 mg", Answer())
    [how_much, *_] = [one for one in second_pass(one, task, [("Drug", ((0, 7),), ())], wording="words")
                      if one.ask.label == "Dosage-Drug"]  # fmt: skip
    assert how_much.question.question == "How much of aspirin is taken each time?"
    assert how_much.question.head == (0, 7) and how_much.question.answers == ()


def test_where_several_labels_can_answer_each_has_its_own_question():
    task = load_task("n2c2-2022-sdoh-mimic-relations")
    for wording in ("label", "words"):
        asks = questions(task, wording=wording)
        assert [ask.label for ask in asks if not ask.of] == list(task.labels[:5])
        texts = [(ask.of, ask.text) for ask in asks]
        assert len(set(texts)) == len(texts)
    said = {ask.text for ask in questions(task, wording="label") if (ask.label, ask.of) == ("Status", "Alcohol")}
    assert {text for text in said if "employment" not in text} == {
        f"has status, status, {value}: alcohol {{head}}" for value in ("never", "current", "past")
    }


@pytest.mark.parametrize("task", TASKS, ids=lambda task: task.name)
def test_every_task_of_the_catalogue_has_questions_of_its_own_or_is_refused(task):
    assert can_be_read(task) is (task.codec in ("entities", "relations", "quote"))
    for wording in ("label", "words"):
        if not can_be_read(task):
            with pytest.raises(InputError, match="its answers are not places in a text"):
                questions(task, wording=wording)
            continue
        asks = questions(task, wording=wording)
        texts = [(ask.of, ask.text) for ask in asks]
        assert len(set(texts)) == len(texts)
        assert all("{head}" in ask.text if ask.of else "{" not in ask.text for ask in asks)


def test_attributes_are_asked_for_with_their_label():
    task = load_task("condition-assertions")
    asks = questions(task, wording="words")
    assert len(asks) == len(task.forms()) > len(task.labels)
    label = task.labels[0]
    name, schema = next(iter(task.attributes.items()))
    unusual = next(value for value in schema.values if value != schema.usual)
    one = example("pain", Answer(spans=(Span(label, ((0, 4),), "t", {name: unusual}),)))
    asked = training_questions(one, task, wording="words")
    [yes] = [question for question in asked if question.answers]
    assert task.words(unusual) in yes.question and yes.answers == ((0, 4),) and len(asked) == len(asks)


def test_values_of_what_answers_in_a_relation_are_asked_for_and_those_of_the_task_alone():
    task = load_task("n2c2-2022-sdoh-uw-relations")
    spans = (
        Span("Tobacco", ((0, 7),), "a"),
        Span("StatusTime", ((9, 13),), "b", {"StatusTimeVal": "past"}),
    )
    one = example("tobacco: quit", Answer(spans=spans, relations=(Relation("Status", "a", "b"),)))
    asked = training_questions(one, task, wording="words")
    head, status = (question for question in asked if question.answers)
    assert (head.question, head.answers) == (task.questions["Tobacco"], ((0, 7),))
    assert status.question.endswith("tobacco is so now, was so once, or never? (status, past)")
    assert status.answers == ((9, 13),)
    odd = replace(
        one, answer=replace(one.answer, spans=(spans[0], replace(spans[1], attributes={"StatusTimeVal": "?"})))
    )
    with pytest.raises(InputError, match="the attribute StatusTimeVal has the value"):
        training_questions(odd, task, wording="words")


@given(one=entity_examples())
@settings(max_examples=60, deadline=None)
def test_every_continuous_span_is_an_answer_and_every_label_is_asked(one):
    asked = training_questions(one, ENTITIES, wording="label")
    assert [question.label for question in asked] == list(ENTITIES.labels)
    keys = {span.key for span in one.answer.spans}
    assert {(question.label, (place,)) for question in asked for place in question.answers} == {
        key for key in keys if len(key[1]) == 1
    }
    assert unaskable(one, ENTITIES).total == sum(len(key[1]) > 1 for key in keys)
    assert all(question.context == one.note and question.head is None for question in asked)


@given(one=relation_examples())
@settings(max_examples=60, deadline=None)
def test_every_relation_is_an_answer_or_counted(one):
    asked = training_questions(one, RELATIONS, wording="words")
    heads = [head for head in gold_heads(one, RELATIONS) if len(head[1]) == 1]
    per_label = {label: sum(ask.of == label for ask in questions(RELATIONS, wording="words"))
                 for label in RELATIONS.labels}  # fmt: skip
    first = len(first_pass(one, RELATIONS, wording="words"))
    assert len(asked) == first + sum(per_label[label] for label, *_ in heads)
    answered = sum(len(question.answers) for question in asked[first:])
    assert answered == len(relation_keys(one.answer)) - unaskable(one, RELATIONS).total
    assert all(question.answers for question in asked[:first]) or first > len({label for label, *_ in heads})


def test_a_head_in_the_note_twice_is_told_apart_by_its_place():
    task = load_task("dose-of-drug")
    note = "aspirin 5 mg then aspirin 10 mg"
    spans = (Span("drug", ((0, 7),), "a"), Span("drug", ((18, 25),), "b"), Span("dose", ((8, 12),), "c"))
    one = example(note, Answer(spans=spans, relations=(Relation("dose", "a", "c"),)))
    [drugs, first, second] = training_questions(one, task, wording="words")
    assert drugs.answers == ((0, 7), (18, 25))
    assert first.question == second.question and (first.head, second.head) == ((0, 7), (18, 25))
    assert (first.answers, second.answers) == (((8, 12),), ())


def test_the_words_of_a_head_stand_in_one_line_are_cut_where_long_and_mean_nothing_else():
    task = load_task("dose-of-drug")
    one = example("{head}\n of " + "verylong " * 20, Answer())
    [short] = second_pass(one, task, [("drug", ((0, 10),), ())], wording="label")
    assert short.question.question == "dose: {head} of"
    [long] = second_pass(one, task, [("drug", ((11, 100),), ())], wording="label")
    assert len(long.question.question) < 90 and long.question.question.endswith("verylong")
    assert second_pass(one, task, [("drug", ((0, 2), (4, 6)), ())], wording="label") == []


QUOTED = load_task("covid-qa")


@pytest.mark.parametrize(
    ("answer", "places"),
    [
        (Answer(text="5 mg"), ((8, 12),)),
        (Answer(spans=(Span("answer", ((13, 17),)),), text="5 mg"), ((13, 17),)),
        (Answer(text="unanswerable"), ()),
    ],
)
def test_an_extractive_question_is_the_examples_own(answer, places):
    one = Example("q", {"note": "aspirin 5 mg 5 mg", "question": "How much?"}, answer, "g")
    [asked] = training_questions(one, QUOTED, wording="label")
    assert (asked.question, asked.answers) == ("How much?", places)
    with pytest.raises(InputError, match="has no question"):
        training_questions(replace(one, inputs={"note": one.note}), QUOTED, wording="label")


def test_gold_answers_outside_the_schema_are_refused():
    odd = example("pain", Answer(spans=(Span("Odd", ((0, 4),), "t"),)))
    with pytest.raises(InputError, match="the label 'Odd' is not one of task medications"):
        training_questions(odd, load_task("medications"), wording="label")
    spans = (Span("dose", ((0, 2),), "a"), Span("drug", ((3, 4),), "b"))
    turned = example("pain", Answer(spans=spans, relations=(Relation("dose", "a", "b"),)))
    with pytest.raises(InputError, match="the head of a relation 'dose' has the label 'dose'"):
        training_questions(turned, load_task("dose-of-drug"), wording="label")


FIELDS = {
    "name": "t", "kind": "relations", "codec": "relations", "instruction": "link.", "metrics": ["relation-f1"],
    "labels": ["Drug", "Dose"], "relations": {"of": {"head": ["Drug"], "tail": ["Dose"]}},
}  # fmt: skip


@pytest.mark.parametrize(
    ("written", "message"),
    [
        ({"Dos": "What?"}, "questions names 'Dos'"),
        ({"Drug": "Which {head}?"}, r"questions\.Drug has the slots \{head\}"),
        ({"of": "Which {tail} of {head}?"}, r"questions\.of has the slots \{tail\}"),
        ({"of": " "}, r"questions\.of has no words"),
    ],
)
def test_a_written_question_names_what_the_task_has(written, message):
    with pytest.raises(InputError, match=message):
        task_from({**FIELDS, "questions": written}, where="test")


def test_a_question_under_the_name_of_a_label_and_a_relation_is_the_relations():
    links = {"Drug": {"head": ["Drug"], "tail": ["Dose"]}}
    task = task_from({**FIELDS, "relations": links, "questions": {"Drug": "How much {head}?"}}, where="test")
    assert [ask.text for ask in questions(task, wording="words")] == [
        "Find all mentions of Drug in the text.",
        "How much {head}?",
    ]


def test_tasks_of_classes_have_no_questions_and_tasks_without_are_dumped_as_before():
    with pytest.raises(InputError, match="for the codecs 'entities' and 'relations' only"):
        task_from({**FIELDS, "kind": "inference", "codec": "labels", "questions": {"Drug": "What?"}}, where="test")
    assert "questions" not in task_from(FIELDS, where="test").model_dump_json()
    asked = task_from({**FIELDS, "questions": {"of": "How much {head}?"}}, where="test")
    assert '"questions":{"of":"How much {head}?"}' in asked.model_dump_json()
