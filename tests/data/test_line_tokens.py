from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clinprompt.data.line_tokens import LineTokens
from clinprompt.errors import InputError

TEXT = "Plan:\r\n\n  Lasix\t40 mg  daily.\nStop (warfarin), 😀 then\u00a0rest"


@given(st.text(alphabet=" \t\r\nab.\u00a0😀", max_size=30))
def test_tokens_are_those_of_a_plain_split(text):
    tokens = LineTokens(text)
    for number, line in enumerate(text.split("\n"), 1):
        words = [word for word in line.replace("\t", " ").replace("\r", " ").split(" ") if word]
        for place, word in enumerate(words):
            start, end = tokens.fragment(f"{number}:{place}", f"{number}:{place}")
            assert text[start:end] == word
        with pytest.raises(InputError, match="no token"):
            tokens.fragment(f"{number}:{len(words)}", f"{number}:{len(words)}")


@pytest.mark.parametrize(
    ("words", "first", "last", "covered"),
    [
        ("lasix 40  MG", "3:0", "3:2", "Lasix\t40 mg"),
        ("daily", "3:3", "3:3", "daily"),
        ("daily.", "3:3", "3:3", "daily."),
        ("warfarin", "4:1", "4:1", "warfarin"),
        ("daily. stop", "3:3", "4:0", "daily.\nStop"),
        ("then\u00a0rest", "4:3", "4:3", "then\u00a0rest"),
    ],
)
def test_words_are_found_within_their_tokens(words, first, last, covered):
    start, end = LineTokens(TEXT).fragment_of(words, first, last)
    assert TEXT[start:end] == covered


@pytest.mark.parametrize("words", ["lasi", "40", "Lasix 40 ml", ""])
def test_other_words_or_parts_of_words_are_not(words):
    assert LineTokens(TEXT).fragment_of(words, "3:0", "3:2") is None


@pytest.mark.parametrize(
    ("first", "last"), [("3:3", "3:1"), ("0:0", "0:0"), ("9:0", "9:0"), ("3", "3"), ("3:x", "3:1")]
)
def test_places_that_are_not_there(first, last):
    with pytest.raises(InputError):
        LineTokens(TEXT).fragment(first, last)
