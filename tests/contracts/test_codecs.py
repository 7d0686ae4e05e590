"""The contract that every row of the codec table enters by itself."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clinprompt.schema.document import check_relations, check_spans
from clinprompt.schema.example import QUOTED, Answer
from clinprompt.tasks.codecs import CODECS
from clinprompt.tasks.task import Task

from ..annotated import (
    ENTITIES,
    RELATIONS,
    entity_examples,
    example,
    notes,
    relation_examples,
    relation_keys,
    span_keys,
)

LABELS = Task(
    name="classes",
    kind="inference",
    codec="labels",
    instruction="Say which.",
    labels=("yes", "no", "maybe not", "Yes."),
    verbalizer={"maybe not": "maybe; not: #2"},
    metrics=("accuracy",),
)
CHOICES = Task(name="options", kind="question-answering", codec="choices", instruction="Pick.", metrics=("accuracy",))
QUOTE = Task(name="words", kind="question-answering", codec="quote", instruction="Quote.", metrics=("token-f1",))
TEXT = Task(name="text", kind="summarisation", codec="free_text", instruction="Summarise.", metrics=("rouge-l",))


@st.composite
def quotes(draw):
    note = draw(notes)
    start = draw(st.integers(0, len(note)))
    words = note[start : draw(st.integers(start, len(note)))].strip()
    return example(note, Answer(text=words or "unanswerable"))


OPTIONS = (("A", "aspirin"), ("B", "b."), ("C", "A"), ("D.", "none"), ("1", "2"))

# One row per codec: its task and a strategy of gold examples. A codec without a row fails below.
CASES = {
    "entities": (ENTITIES, entity_examples()),
    "relations": (RELATIONS, relation_examples()),
    "labels": (
        LABELS,
        st.builds(lambda note, label: example(note, Answer(label=label)), notes, st.sampled_from(LABELS.labels)),
    ),
    "choices": (
        CHOICES,
        st.builds(
            lambda note, pick: example(note, Answer(label=pick[0]), choices=OPTIONS),
            notes,
            st.sampled_from(OPTIONS),
        ),
    ),
    "quote": (QUOTE, quotes()),
    "free_text": (
        TEXT,
        st.builds(lambda note, text: example(note, Answer(text=text)), notes, st.text(max_size=30)),
    ),
}

codecs = pytest.mark.parametrize("name", list(CODECS))


def test_every_codec_has_a_case():
    assert set(CASES) == set(CODECS)


def said(name: str, answer: Answer):
    # An extractive answer is scored by its words; where they stand is found anew.
    keys = {"relations": relation_keys, "quote": lambda answer: set()}.get(name, span_keys)
    return (keys(answer), answer.label, answer.text)


@codecs
@given(data=st.data())
def test_decode_of_encode_is_the_answer(name, data):
    task, examples = CASES[name]
    gold = data.draw(examples)
    text = CODECS[name].encode(gold, task)
    prediction = CODECS[name].decode(text, gold, task)
    assert said(name, prediction.answer) == said(name, gold.answer)
    assert prediction.report.unlocated == 0
    if name != "free_text":
        assert prediction.report.unreadable == 0
    assert prediction.example == gold.id
    assert prediction.raw == text


def damaged(text: str):
    """The gold text cut, doubled, shuffled in place, or something else altogether."""
    pieces = st.sampled_from(
        (
            "; ",
            ": ",
            " > ",
            " | ",
            "=",
            " #2",
            " #0",
            "#99999999999999",
            "\\",
            ".",
            "\n",
            text,
            "none",
            "Drug",
            "any",
            "dose; of",
            "pain",
            "a",
        )
    )
    return st.one_of(
        st.text(max_size=40),
        st.lists(pieces, max_size=8).map("".join),
        st.integers(0, len(text)).flatmap(
            lambda cut: st.lists(pieces, max_size=3).map(lambda more: text[:cut] + "".join(more) + text[cut:])
        ),
        st.integers(0, len(text)).map(lambda cut: text[:cut]),
    )


@codecs
@given(data=st.data())
def test_no_text_makes_decode_raise_or_leave_note_and_schema(name, data):
    task, examples = CASES[name]
    gold = data.draw(examples)
    text = data.draw(damaged(CODECS[name].encode(gold, task)))
    prediction = CODECS[name].decode(text, gold, task)
    answer, report = prediction.answer, prediction.report
    check_spans(answer.spans, length=len(gold.note), where="prediction")
    check_relations(answer.relations, answer.spans, where="prediction")
    assert all(span.label in (task.labels or (QUOTED,)) for span in answer.spans)
    if name == "quote":
        assert [span.surface(gold.note) for span in answer.spans] == [answer.text] * (
            answer.text not in (None, "unanswerable") or bool(answer.spans)
        )
    assert all(relation.label in task.relations for relation in answer.relations)
    assert [span.id for span in answer.spans] == [f"e{i}" for i in range(1, len(answer.spans) + 1)]
    assert len(span_keys(answer)) == len(answer.spans)
    assert len(relation_keys(answer)) == len(answer.relations)
    assert answer.label is None or answer.label in (*task.labels, *(key for key, _ in gold.choices))
    assert report.unreadable + report.unlocated + report.repeated <= report.items
    if name in ("entities", "relations"):  # every item is kept, or counted among what was dropped
        kept = len(answer.relations) if name == "relations" else len(answer.spans)
        assert kept == report.items - report.unreadable - report.unlocated - report.repeated


@codecs
@given(data=st.data())
def test_blanks_around_an_answer_do_not_matter(name, data):
    if name == "free_text":
        return  # free text is kept character for character
    task, examples = CASES[name]
    gold = data.draw(examples)
    text = CODECS[name].encode(gold, task)
    assert CODECS[name].decode(f" {text}\n", gold, task).answer == CODECS[name].decode(text, gold, task).answer
