from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clinprompt.data.attributes import Asked
from clinprompt.data.mentions import ask_about_mentions, span_number
from clinprompt.data.projection import Tally
from clinprompt.errors import InputError
from clinprompt.schema.document import Document, Span

TEXT = "No fever today.\nHe has a cough. Fever was high last week."
ASKED = Asked("assertion", ("present", "absent"), of=("problem",), usual="present")


def document(*spans: tuple[str, int, int, dict]) -> Document:
    made = (Span(label, ((start, end),), f"T{n}", said) for n, (label, start, end, said) in enumerate(spans))
    return Document("d", TEXT, tuple(made), group="p")


WHOLE = document(
    ("problem", 3, 8, {"Negated": ""}), ("drug", 0, 2, {}), ("sign", 25, 30, {}), ("problem", 32, 37, {}),
    ("problem", 3, 8, {}),
)  # fmt: skip


def ask(documents, **more):
    tally = Tally()
    asked = ask_about_mentions(documents, ASKED, naming=lambda note, span: span.surface(note), **more)
    return list(tally.examples(asked)), tally.report


def test_one_example_a_mention_with_its_class():
    examples, report = ask([WHOLE], label_map={"sign": "problem"})
    assert [(one.inputs["question"], one.answer.label, one.id) for one in examples] == [
        ("fever", "absent", "d@0#0"), ("cough", "present", "d@0#2"), ("Fever", "present", "d@0#3"),
    ]  # fmt: skip
    assert {(one.group, one.document, one.note) for one in examples} == {("p", "d", TEXT)}
    assert [span_number(one) for one in examples] == [0, 2, 3]
    assert (report.documents, report.examples, report.merged, report.outside) == (1, 3, 1, {"drug": 1})


def test_questions_without_gold_and_values_that_are_unknown():
    odd = document(("problem", 3, 8, {"assertion": "odd"}))
    assert [one.answer.label for one in ask([odd], gold=False)[0]] == [None]
    with pytest.raises(InputError, match="assertion=odd"):
        ask([odd])


@given(window=st.integers(8, 80))
def test_every_mention_is_whole_in_its_window_or_counted(window):
    examples, report = ask([WHOLE], label_map={"sign": "problem"}, window=window)
    assert len(examples) + sum(report.cut_spans.values()) == 3
    for one in examples:
        span = WHOLE.spans[span_number(one)]
        assert TEXT[one.offset : one.offset + len(one.note)] == one.note and len(one.note) <= window
        assert one.inputs["question"] == span.surface(TEXT)
        assert one.offset <= span.start and span.end <= one.offset + len(one.note)
