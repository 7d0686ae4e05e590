from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clinprompt.data.offsets import UNITS, Offsets, width
from clinprompt.errors import InputError
from tests.data.drawn import texts

ENCODINGS = {"codepoint": ("utf-32-le", 4), "utf16": ("utf-16-le", 2), "byte": ("utf-8", 1)}


def naive(text: str, unit: str) -> list[int]:
    """Where each character begins, by encoding everything before it."""
    encoding, size = ENCODINGS[unit]
    return [len(text[:place].encode(encoding)) // size for place in range(len(text) + 1)]


@pytest.mark.parametrize("unit", UNITS)
@given(text=texts)
def test_both_directions_equal_those_of_the_encodings(unit, text):
    places, offsets = naive(text, unit), Offsets(text, unit)
    assert width(text, unit) == places[-1]
    assert [offsets.written(place) for place in range(len(text) + 1)] == places
    for offset in range(places[-1] + 1):
        if offset in places:
            assert offsets.codepoint(offset) == places.index(offset)
        else:
            with pytest.raises(InputError, match="inside a character"):
                offsets.codepoint(offset)


@pytest.mark.parametrize("text", ["", "pain", "é😀"])
@pytest.mark.parametrize("unit", UNITS)
@given(far=st.integers(1, 10))
def test_outside_is_refused(text, unit, far):
    for offset in (-far, width(text, unit) + far):
        with pytest.raises(InputError, match="outside the text"):
            Offsets(text, unit).codepoint(offset)


def test_other_units_are_refused():
    with pytest.raises(InputError, match="unit"):
        Offsets("a", "words")
