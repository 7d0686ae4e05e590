from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clinprompt.data.fewshot import draw
from clinprompt.errors import InputError
from clinprompt.schema.document import Relation, Span
from clinprompt.schema.example import Answer, Example

CLASSES = [Example(f"c{i}", {"note": "x"}, Answer(label="rare" if i % 10 == 0 else "often"), "g") for i in range(60)]
TEXTS = [Example(f"t{i}", {"note": "x"}, Answer(text="y"), "g") for i in range(30)]


def tagged(name: str, labels: str, relation: str = "") -> Example:
    spans = tuple(Span(label, ((0, 1),), f"T{i}") for i, label in enumerate(labels))
    links = (Relation(relation, "T0", "T0"),) if relation else ()
    return Example(name, {"note": "x"}, Answer(spans=spans, relations=links), "g")


SPANS = [tagged(f"s{i}", "abc"[: i % 3]) for i in range(40)] + [tagged("z", "z"), tagged("r", "a", "cause")]


@pytest.mark.parametrize("examples", [CLASSES, TEXTS, SPANS])
@given(small=st.integers(0, 30), large=st.integers(0, 30), seed=st.integers(0, 9), number=st.integers(0, 9))
def test_draws_are_nested_distinct_and_repeatable(examples, small, large, seed, number):
    small, large = sorted((small, large))
    drawn = draw(examples, k=large, seed=seed, draw=number)
    assert drawn[:small] == draw(list(reversed(examples)), k=small, seed=seed, draw=number)
    assert len({example.id for example in drawn}) == large


def test_classes_take_turns():
    for number in range(10):
        counts = Counter(example.answer.label for example in draw(CLASSES, k=10, seed=1, draw=number))
        assert counts == {"rare": 5, "often": 5}
        assert len({e.answer.label for e in draw(CLASSES, k=2, seed=1, draw=number)}) == 2
    assert Counter(e.answer.label for e in draw(CLASSES, k=60, seed=1, draw=0)) == {"rare": 6, "often": 54}


def test_every_label_is_shown_before_any_repetition():
    for number in range(10):
        shown = draw(SPANS, k=5, seed=1, draw=number)
        labels = {span.label for example in shown for span in example.answer.spans}
        assert labels == {"a", "b", "z"}
        assert any(example.answer.relations for example in shown)


def test_draws_and_seeds_differ():
    firsts = {tuple(e.id for e in draw(SPANS, k=3, seed=s, draw=d)) for s in range(3) for d in range(10)}
    assert len(firsts) > 20


def test_too_many_shots():
    with pytest.raises(InputError, match="0-30"):
        draw(TEXTS, k=31, seed=1, draw=0)
