from __future__ import annotations

from dataclasses import replace

import pytest

from clinprompt.data.inspection import inspect_parts
from clinprompt.schema.document import Relation, Span
from clinprompt.schema.example import Answer, Example

GOOD = Example(id="e1", inputs={"note": "takes aspirin daily"}, answer=Answer(label="yes"), group="p1")


def spans(*places: tuple[int, int], label: str = "Drug") -> Answer:
    return Answer(spans=tuple(Span(label=label, fragments=(place,), id=f"T{n}") for n, place in enumerate(places)))


def found(*examples: Example, **options) -> list[tuple[str, int, bool]]:
    return [(f.what, f.count, f.fault) for f in inspect_parts({"train": examples}, **options)]


def test_nothing_to_say_about_sound_data():
    assert found(GOOD, labels=["yes", "no"], wants="label") == []
    assert found(replace(GOOD, answer=spans((6, 13))), labels=["Drug"]) == []


@pytest.mark.parametrize(
    ("change", "what", "fault"),
    [
        ({"answer": spans((6, 99))}, "a span or relation does not lie in the note", True),
        ({"answer": spans((6, 6))}, "a span or relation does not lie in the note", True),
        ({"answer": replace(spans((6, 13)), relations=(Relation("of", "T0", "T9"),))},
         "a span or relation does not lie in the note", True),
        ({"answer": spans((5, 13))}, "a span begins or ends with a blank", False),
        ({"answer": spans((6, 13), label="Dose")}, "a label is not one of the task's", True),
        ({"answer": Answer(label="maybe")}, "a label is not one of the task's", True),
        ({"inputs": {"note": " \n"}}, "the note is empty", False),
    ],
)  # fmt: skip
def test_one_thing_is_wrong(change, what, fault):
    assert found(replace(GOOD, **change), labels=["yes", "Drug"]) == [(what, 1, fault)]


def test_gold_answers_that_are_missing_empty_or_none_of_the_options():
    assert found(replace(GOOD, answer=Answer()), wants="label") == [("there is no gold label", 1, True)]
    assert found(replace(GOOD, answer=Answer(text=" ")), wants="text") == [("the gold text is empty", 1, False)]
    asked = replace(GOOD, choices=(("A", "x"), ("B", "y")), answer=Answer(label="C"))
    assert found(asked, wants="label") == [("the gold label is none of the options", 1, True)]
    assert found(replace(asked, answer=Answer(label="B")), wants="label") == []


def test_where_an_answer_stands_is_no_label():
    answer = Answer(spans=spans((6, 13), label="answer").spans, text="aspirin")
    assert found(replace(GOOD, answer=answer), labels=["x"], wants="text") == []


def test_repeats_and_contradictions():
    again, other = replace(GOOD, id="e2"), replace(GOOD, id="e3", answer=Answer(label="no"))
    assert found(GOOD, again, other) == [
        ("the inputs are those of another example", 2, False),
        ("the same inputs have another answer", 1, False),
    ]
    assert ("the id stands more than once", 2, True) in found(GOOD, GOOD)
    assert found(GOOD, replace(GOOD, id="e2", inputs={**GOOD.inputs, "question": "?"})) == []


def test_what_two_parts_share():
    kin = replace(GOOD, id="e2", inputs={"note": "another note"})
    near = replace(GOOD, id="e3", group="p2", inputs={"note": "Takes  aspirin daily"})
    same = replace(GOOD, id="e4", group="p3")
    assert inspect_parts({"train": [GOOD], "test": []}) == []
    findings = inspect_parts({"train": [GOOD], "test": [kin, near, same]})
    assert [(f.part, f.what, f.count, f.fault) for f in findings] == [
        ("test", "patients or documents are also in train", 1, True),
        ("test", "the note is also in train", 1, False),
        ("test", "the note but for case and blanks is also in train", 1, False),
    ]
    assert findings[0].examples == ("e2", "e3", "e4")
