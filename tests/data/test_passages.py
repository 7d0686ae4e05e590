from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clinprompt.data.passages import DRIFT, located, stretch, trimmed


@pytest.mark.parametrize(
    ("text", "words", "start", "found"),
    [
        ("no fever, no pain", "no", 0, 0),
        ("no fever, no pain", "no", 11, 10),  # near one of two
        ("no fever, no pain", "pain", 0, 13),  # far, but the only one
        ("no no no", "no", 1, None),  # near several
        ("aspirin " + "x" * 50 + " aspirin", "aspirin", 30, None),  # far from both
        ("aspirin", "warfarin", 0, None),
        ("aspirin", "", 0, None),
        ("aspirin", "aspirin", -1, 0),
        ("aspirin", "aspirin", 900, 0),
    ],
)
def test_words_are_found_at_one_place_only(text, words, start, found):
    assert located(text, words, start) == found


@given(st.text(alphabet="ab 😀", min_size=1, max_size=30), st.data())
def test_what_is_found_is_the_words(text, data):
    first = data.draw(st.integers(0, len(text) - 1))
    words = text[first : data.draw(st.integers(first + 1, len(text)))]
    start = first + data.draw(st.integers(-2 * DRIFT, 2 * DRIFT))
    found = located(text, words, start)
    if start == first:
        assert found == first
    places = [place for place in range(len(text)) if text.startswith(words, place)]
    assert found in (None, *places)
    if len(places) == 1:
        assert found == first


def test_blanks_at_the_ends():
    assert trimmed(" a b\r\n", (0, 6)) == (1, 4)
    start, end = trimmed("a   b", (1, 4))
    assert start == end


@given(st.text(alphabet="ab. \n", min_size=1, max_size=200), st.integers(2, 60), st.data())
def test_a_stretch_holds_its_place(text, longest, data):
    first = data.draw(st.integers(0, len(text) - 1))
    last = data.draw(st.integers(first + 1, len(text)))
    start, end = stretch(text, (first, last), longest=longest)
    assert 0 <= start <= first < last <= end <= len(text)
    assert end - start <= max(longest, last - first)


def test_a_stretch_has_text_on_both_sides():
    text = "One. " * 40
    start, end = stretch(text, (100, 103), longest=60)
    assert start <= 90 and end >= 113
