from __future__ import annotations

import yaml
from hypothesis import given
from hypothesis import strategies as st

from clinprompt.stages.yaml_text import line_of, parse, render

words = st.one_of(
    st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]), max_size=12),
    st.sampled_from(
        [
            "no",
            "on",
            "1e-4",
            "12:30",
            "010",
            "~",
            "2024-01-01",
            "",
            "<<",
            "null",
            ".5",
            "1_000",
            "-",
            "=",
            "y",
        ]
    ),
)
plain = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False), words),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(words, inner, max_size=3)),
    max_leaves=8,
)


@given(plain)
def test_what_is_rendered_is_read_back_by_us_and_by_any_reader(value):
    text = render(value)
    assert parse(text, where="") == value
    assert yaml.safe_load(text) == value


def test_lines_are_found_through_lists_and_union_tags():
    text = "a:\n  b:\n  - c: 1\n  - d: 2\n    e: 3\n"
    assert line_of(text, ("a", "tag", "b", 1, "e")) == 5
    assert line_of(text, ("a", "absent")) == 1
    assert line_of(text, ()) is None
