from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clinprompt.errors import InputError
from clinprompt.metrics.divergence import jensen_shannon

COUNTS = st.dictionaries(st.sampled_from("abcdef"), st.integers(1, 9), min_size=1)


def test_by_hand():
    """p = (1/2, 1/2), q = (1, 0), m = (3/4, 1/4): (1/2 log2 2/3 + 1/2 log2 2 + log2 4/3) / 2 = 3/2 - 3/4 log2 3."""
    assert jensen_shannon({"fever": 1, "cough": 1}, {"fever": 1}) == pytest.approx(1.5 - 0.75 * math.log2(3))


@settings(max_examples=60, deadline=None)
@given(COUNTS, COUNTS, st.integers(2, 50))
def test_equal_shares_are_at_0_no_common_word_at_1_and_all_else_between(first, second, times):
    assert jensen_shannon(first, {word: times * count for word, count in first.items()}) == pytest.approx(0, abs=1e-12)
    assert jensen_shannon(first, {word.upper(): count for word, count in second.items()}) == pytest.approx(1)
    found = jensen_shannon(first, second)
    assert 0 <= found <= 1 and found == pytest.approx(jensen_shannon(second, first), abs=1e-12)
    if not first.keys() & second.keys():
        assert found == pytest.approx(1)


@settings(max_examples=30, deadline=None)
@given(COUNTS, COUNTS)
def test_it_is_the_square_of_scipys_distance(first, second):
    from scipy.spatial.distance import jensenshannon

    words = sorted({*first, *second})
    sides = [[side.get(word, 0) for word in words] for side in (first, second)]
    expected = jensenshannon(*sides, base=2) ** 2 if first != second else 0.0
    assert jensen_shannon(first, second) == pytest.approx(expected, abs=1e-9)


def test_nothing_has_no_distribution():
    with pytest.raises(InputError, match="no distribution of words"):
        jensen_shannon({"a": 1}, {})
