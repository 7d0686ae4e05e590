from __future__ import annotations

import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clinprompt.data.near import RUN, runs_of

WORDS = st.sampled_from(("a", "B", "b", "fever", "Fever", "no", "the", "é", "12", "x_1"))
TEXTS = st.lists(st.lists(WORDS, max_size=14).map(lambda words: " ".join(words) + "."), max_size=5)


def naive(text: str, others: list[str], run: int) -> float:
    def runs(one: str) -> list[tuple[str, ...]]:
        words = re.findall(r"\w+", one.casefold())
        width = min(run, len(words))
        return [tuple(words[at : at + width]) for at in range(len(words) - width + 1)] if width else []

    known = {one for other in others for one in runs(other)}
    mine = runs(text)
    return sum(one in known for one in mine) / len(mine) if mine else 0.0


@given(texts=TEXTS, others=TEXTS, run=st.integers(1, RUN))
def test_shares_are_those_of_comparing_runs_as_words(texts, others, run):
    shares = runs_of(texts, run=run).shares(runs_of(others, run=run))
    assert shares == pytest.approx([naive(text, others, run) for text in texts])


def test_a_part_of_a_longer_text_in_another_form_is_found():
    abstract = "Fusidic acid was given. Of 11 patients (aged 3-40) with active UC, seven got better within four weeks."
    sentence = "of 11 patients ( aged 3 - 40 ) with ACTIVE uc , seven got better"
    shares = runs_of([sentence]).shares(runs_of([abstract]))
    assert shares[0] == 1.0 and 0 < runs_of([abstract]).shares(runs_of([sentence]))[0] < 0.5


def test_order_and_case_of_letters():
    swapped = runs_of(["one two three four five six seven eight"]).shares(
        runs_of(["two one three four five six seven eight"])
    )
    assert swapped.tolist() == [0.0]
    assert runs_of([]).shares(runs_of(["x"])).shape == (0,)
    assert np.array_equal(runs_of(["", "…", "x"]).shares(runs_of(["X!"])), [0.0, 0.0, 1.0])
