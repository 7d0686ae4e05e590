from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clinprompt.data.digests import Digests, PartDigests, digest
from clinprompt.data.overlap import overlap
from clinprompt.schema.example import Answer, Example

few = st.lists(st.sampled_from(("", " ", "a", "A", "a  b", "A b", "pain", "e\u0301")), max_size=12)


def digests_of(texts) -> Digests:
    made = Digests()
    for text in texts:
        made.add(text)
    return made


@given(one=few, other=few)
def test_the_counts_are_those_of_the_texts_themselves(one, other):
    first, second = digests_of(one), digests_of(other)
    assert first.distinct() == len(set(one))
    assert first.repeated() == {digest(text) for text, times in Counter(one).items() if times > 1}
    assert first.times_in(second) == sum(text in other for text in one)
    assert first.shared_with(second) == len(set(one) & set(other))
    first.add("more")
    assert first.distinct() == len(set(one)) + 1


@given(one=few, other=few, data=st.data())
def test_parts_share_what_the_comparison_of_whole_parts_finds(one, other, data):
    groups = st.sampled_from(("", "p", "q", "r"))
    parts = [
        [Example(str(n), {"note": text}, Answer(), data.draw(groups)) for n, text in enumerate(texts)]
        for texts in (one, other)
    ]
    first, second = PartDigests(), PartDigests()
    for made, examples in zip((first, second), parts, strict=True):
        for example in examples:
            made.add(example)
    found = overlap(*parts)
    assert second.exact.times_in(first.exact) == found.exact
    assert second.normalised.times_in(first.normalised) == found.normalised
    assert second.groups.shared_with(first.groups) == found.groups
    assert first.groups.distinct() == len({example.group for example in parts[0]})


def test_a_digest_does_not_change():
    assert digest("pain") == digest("pain") != digest("Pain")
    assert digests_of(["x"]).times_in(digests_of([])) == 0
    with pytest.raises(UnicodeEncodeError):
        digest("\ud800")
