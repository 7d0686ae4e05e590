from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clinprompt.tasks.codecs.items import (
    answer_items,
    escape,
    plain,
    read_mention,
    split,
    strip,
    units,
    write_mention,
)
from clinprompt.tasks.grounding import Part

texts = st.text(st.sampled_from(list("ab;|#>=\\: \n\r\t\u00a0.1")), min_size=1, max_size=12)


@given(texts)
def test_escaped_text_reads_back_whatever_blanks_stand_around_it(text):
    assert plain(strip(units(f" {escape(text)}\n"))) == text


@given(st.lists(texts, min_size=1, max_size=4))
def test_separators_inside_texts_are_no_separators(parts):
    joined = "; ".join(escape(part) for part in parts)
    assert [plain(part) for part in split(units(joined), ";")] == parts


@given(st.lists(st.builds(Part, texts, st.none() | st.integers(1, 99)), min_size=1, max_size=3).map(tuple))
def test_mentions_read_back(mention):
    assert read_mention(units(write_mention(mention))) == mention


@pytest.mark.parametrize(
    ("written", "words", "occurrence"),
    [
        ("pain #2", "pain", 2),
        ("pain#2", "pain", 2),
        ("pain # 2 ", "pain", 2),
        ("pain #x", "pain #x", None),
        (r"\#2", "#2", None),
        ("pain #²", "pain #²", None),
    ],
)
def test_marks(written, words, occurrence):
    assert read_mention(units(written)) == (Part(words, occurrence),)


@pytest.mark.parametrize("written", ["", "  ", "a |", "| a", "#2", "a | | b"])
def test_a_fragment_without_words_is_no_mention(written):
    assert read_mention(units(written)) is None


def test_a_lone_backslash_at_the_end_is_itself():
    assert plain(units("a\\")) == "a\\"


def test_empty_items_are_skipped_and_none_is_nothing():
    assert [plain(item) for item in answer_items("a;; b;")] == ["a", "b"]
    assert answer_items(" NONE. ") == []
