from __future__ import annotations

import pytest

from clinprompt.data.attributes import Asked, with_attributes
from clinprompt.errors import InputError
from clinprompt.schema.document import Span
from clinprompt.schema.example import Answer, Example

SIX = ("present", "absent", "possible", "conditional", "hypothetical", "family")
ASSERTION = Asked("assertion", SIX, usual="present")
TIME = Asked("temporality", ("current", "past"), usual="current")
PERSON = Asked("experiencer", ("patient", "family", "other"), usual="patient")


def span(**attributes: str) -> Span:
    return Span("problem", ((0, 5),), "T1", attributes)


@pytest.mark.parametrize(
    ("attributes", "value"),
    [
        ({}, "present"),
        ({"assertion": "Absent"}, "absent"),
        ({"Negated": ""}, "absent"),
        ({"negation": "no"}, "present"),
        ({"Assertion": "conditional"}, "conditional"),
        ({"assertion": "hypothetical"}, "hypothetical"),
        ({"hypothetical": "true"}, "conditional"),  # the first of the values that mean it
        ({"assertion": "associated_with_someone_else"}, "family"),
        ({"assertion": "present", "experiencer": "family"}, "family"),
        ({"assertion": "absent", "uncertainty": "yes"}, "possible"),  # the stronger, as the guideline of 2010 has it
        ({"assertion": "affirmed"}, "present"),
        ({"assertion": "remarkable"}, None),
    ],
)
def test_assertion_is_read_however_the_corpus_says_it(attributes, value):
    assert ASSERTION.value(span(**attributes)) == value


def test_time_and_person():
    assert [TIME.value(span(**said)) for said in ({"temporality": "historical"}, {"History": ""}, {"Negated": ""})] == [
        "past",
        "past",
        "current",
    ]
    assert [PERSON.value(span(**said)) for said in ({"experiencer": "other"}, {"subject": "Mother"}, {})] == [
        "other",
        "family",
        "patient",
    ]


def test_what_is_to_come_is_a_time_and_no_hypothesis():
    time = Asked("temporality", ("current", "past", "future"), usual="current")
    said = [span(temporality="future"), span(Planned=""), span(assertion="present", temporality="future")]
    assert [time.value(one) for one in said] == ["future"] * 3
    assert [ASSERTION.value(one) for one in said] == ["present"] * 3


def test_an_attribute_of_another_name_is_renamed_by_name_or_by_value():
    asked = Asked("status", ("now", "never"), renames={"StatusTime=none": "never", "StatusTime": "now"})
    values = [asked.value(span(StatusTime=value)) for value in ("none", "current", "past")]
    assert values == ["never", "now", "now"] and asked.value(span()) is None


def example(*spans: Span) -> Example:
    return Example("e", {"note": "fever and so on"}, Answer(spans=spans), group="g")


def test_spans_have_exactly_the_attributes_that_are_asked_for():
    only_drugs = Asked("route", ("oral", "other"), of=("drug",), usual="oral")
    [made] = list(with_attributes([example(span(Negated="", colour="red"))], [ASSERTION, TIME, only_drugs]))
    assert [dict(one.attributes) for one in made.answer.spans] == [{"assertion": "absent", "temporality": "current"}]


def test_values_that_the_task_does_not_have_are_counted_and_refused():
    without_usual = Asked("grade", ("low", "high"))
    with pytest.raises(InputError) as caught:
        list(with_attributes([example(span(grade="odd"), span()), example(span(grade="odd"))], [without_usual]))
    assert "grade=odd (2 times), no grade (1 times)" in str(caught.value)
    assert "attribute_map" in str(caught.value) and "fever" not in str(caught.value)
