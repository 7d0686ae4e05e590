from __future__ import annotations

import pytest

from clinprompt.data.columns import roles

QUESTION = {"question": "Which?", "opts": "", "A": "x", "B": "y", "C": "z"}


@pytest.mark.parametrize(
    ("row", "found"),
    [
        ({"Report Text": "t", "Class": "a", "subject_id": 1}, {"note": "Report Text", "label": "Class", "group": "subject_id"}),
        ({"input": "a", "output": "b"}, {"note": "input", "text": "output"}),
        (
            {"pairID": "1", "sentence1": "a", "sentence2": "b", "gold_label": "neutral", "sentence1_parse": "("},
            {"note": "sentence1", "hypothesis": "sentence2", "label": "gold_label", "id": "pairID"},
        ),
        ({"context": "c", "question": "q", "answer": "a"}, {"note": "context", "question": "question", "text": "answer"}),
        ({"text": "t", "label": "a", "summary": "explained"}, {"note": "text", "label": "label"}),
        ({"x": "t", "y": "a"}, None),
    ],
)  # fmt: skip
def test_names_say_what_a_field_holds(row, found):
    assert roles([row]) == found


def test_a_field_that_some_rows_lack_is_not_used():
    assert roles([{"text": "a", "label": "x", "group": "p"}, {"text": "b", "label": "y"}]) == {
        "note": "text",
        "label": "label",
    }


@pytest.mark.parametrize(
    ("keys", "form"),
    [
        (["A", "C"], {}),
        (["x", "z"], {"key": "text"}),
        (["0", "2"], {"key": "zero-based"}),
        (["1", "3"], {"key": "one-based"}),
        (["1", "2"], None),  # fits both ways
        (["D", "E"], None),
    ],
)
def test_the_key_of_the_right_option_is_told_from_the_rows(keys, form):
    found = roles([QUESTION | {"answer": key} for key in keys])
    expected = {"note": "question", "label": "answer", "options": ["A", "B", "C"]}
    assert found == (None if form is None else expected | form)


def test_options_in_one_field():
    row = {"question": "Which?", "options": {"A": "x", "B": "y"}, "answer": "x", "answer_idx": "A"}
    assert roles([row]) == {"note": "question", "label": "answer_idx", "options": "options"}
    row = {"question": "Which?", "choices": ["x", "y"], "answer": "y"}
    assert roles([row]) == {"note": "question", "label": "answer", "options": "choices", "key": "text"}
