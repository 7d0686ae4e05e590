from __future__ import annotations

import time
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clinprompt.data.sentences import starts
from tests.data.drawn import texts


def pieces(text):
    found = starts(text)
    places = [0, *sorted((*found.paragraphs, *found.lines, *found.sentences)), len(text)]
    return [text[start:end].strip() for start, end in pairwise(places)]


@pytest.mark.parametrize(
    "expected",
    [
        ["Seen by Dr. Lee.", "Takes 2.5 mg p.o. BID.", "No pain!", "Well?", "Yes."],
        ["Hepatitis C. ".strip(), "Patient is well."],
        ["Dr. J. Smith saw bed No. 5 at St. Mary.", "Allergies?", "No.", "Seen today."],
        ["Aspirin 81 mg p.o. q.d. 2 tabs.", "Fever vs. chill, e.g. at night, approx. 38.5 C."],
        ["He said so.)", '"And left now."'],
        ["Vitals: T 37.2, BP 120/80.", "(Repeated.)", "– none"],
        ["疼痛. ".strip(), "没有"],
        ["1. Aspirin 81 mg. ".strip(), "Hold it."],
    ],
)
def test_sentences_of_one_line(expected):
    assert pieces(" ".join(expected)) == expected


def test_lines_and_bullets_of_a_text_that_is_not_wrapped():
    lines = ["MEDICATIONS:", "aspirin 81 mg daily", "lisinopril 10 mg", "- held: metformin", "2. Insulin", "Plan: stop"]
    for end in ("\n", "\r\n", "\r"):
        assert pieces(end.join(lines)) == lines
        assert len(starts((end * 2).join(lines)).paragraphs) == len(lines) - 1


def test_a_line_that_was_wrapped_goes_on():
    text = (
        "The patient is a 55 year old man who was admitted with chest\n"
        "pain and shortness of breath after a walk. He was given some\n"
        "aspirin in the ambulance and felt better soon. His brother\n"
        "Paul came along.\n"
        "Past history: none\n"
        "- no surgery of any kind, no fractures, no transfusions, no\n"
        "- hospital stays\n"
    )
    found = [piece.replace("\n", " ") for piece in pieces(text)]
    assert found == [
        "The patient is a 55 year old man who was admitted with chest pain and shortness of breath after a walk.",
        "He was given some aspirin in the ambulance and felt better soon.",
        "His brother Paul came along.",
        "Past history: none",
        "- no surgery of any kind, no fractures, no transfusions, no",
        "- hospital stays",
    ]


@given(text=st.lists(texts, max_size=6).map("".join))
def test_starts_are_in_order_inside_the_text_and_after_a_blank(text):
    found = starts(text)
    for places in (found.paragraphs, found.lines, found.sentences):
        assert list(places) == sorted(set(places))
        assert all(0 < place < len(text) for place in places)
        assert all(text[place - 1].isspace() and not text[place].isspace() for place in places)
    assert not set(found.paragraphs) & set(found.lines) and not set(found.lines) & set(found.sentences)


def test_a_long_text_takes_linear_time():
    began = time.process_time()
    starts(("." * 40_000 + " " * 40_000 + "\r" * 40_000 + "a.b" * 20_000 + "\nNo. 4 A. " * 5_000) * 2)
    starts("Seen. " * 300_000)  # all in one line
    assert time.process_time() - began < 5
