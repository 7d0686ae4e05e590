"""The contract that every row of the metric table enters by itself."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clinprompt.metrics import METRICS
from clinprompt.metrics.scoring import score
from clinprompt.schema.document import Relation, Span
from clinprompt.schema.example import Answer, Example
from clinprompt.schema.prediction import Prediction

CLASSES = ("yes", "no", "maybe")

spans = st.lists(st.tuples(st.sampled_from("AB"), st.integers(0, 20), st.integers(1, 5)), max_size=4, unique=True).map(
    lambda rows: tuple(Span(label, ((at, at + size),), f"s{i}") for i, (label, at, size) in enumerate(rows))
)


@st.composite
def full_answers(draw):
    """An answer that has all there is, so that every metric finds what it scores."""
    drawn = draw(spans)
    ids = [span.id for span in drawn]
    links = draw(st.lists(st.tuples(st.sampled_from(ids), st.sampled_from(ids)), max_size=3)) if ids else []
    words = draw(st.lists(st.sampled_from(("pain", "chest", "aspirin", "none")), min_size=2, max_size=5))
    return Answer(
        spans=drawn,
        relations=tuple(Relation("of", head, tail) for head, tail in links),
        label=draw(st.sampled_from(CLASSES)),
        text=" ".join(words),
    )


def examples_of(answers):
    return [
        Example(id=f"x{i}", inputs={"note": "n" * 40}, answer=answer, group=f"g{i % 3}")
        for i, answer in enumerate(answers)
    ]


def said(answers):
    return [Prediction(example=f"x{i}", answer=answer) for i, answer in enumerate(answers)]


metrics = pytest.mark.parametrize("name", list(METRICS))
answer_lists = st.lists(full_answers(), min_size=1, max_size=5)


@metrics
def test_the_metric_has_the_name_of_its_row(name):
    assert METRICS[name](CLASSES).name == name


@metrics
@settings(max_examples=25)
@given(answers=answer_lists)
def test_a_perfect_prediction_scores_100_with_no_width(name, answers):
    result = score(METRICS[name](CLASSES), examples_of(answers), said(answers), resamples=20)
    assert (result.value, result.low, result.high) == (
        pytest.approx(100),
        pytest.approx(100),
        pytest.approx(100),
    )


@metrics
@settings(max_examples=25)
@given(gold=answer_lists, data=st.data())
def test_scores_lie_between_nothing_and_100(name, gold, data):
    other = data.draw(st.lists(full_answers(), min_size=len(gold), max_size=len(gold)))
    for answers in (other, [Answer()] * len(gold)):
        result = score(METRICS[name](CLASSES), examples_of(gold), said(answers), resamples=20)
        assert 0 <= result.low <= result.high <= 100 + 1e-9
        assert 0 <= result.value <= 100 + 1e-9


@metrics
@settings(max_examples=25)
@given(gold=answer_lists, data=st.data())
def test_the_order_of_examples_is_irrelevant(name, gold, data):
    other = data.draw(st.lists(full_answers(), min_size=len(gold), max_size=len(gold)))
    order = data.draw(st.permutations(range(len(gold))))
    metric, examples, predictions = METRICS[name](CLASSES), examples_of(gold), said(other)
    turned = score(metric, [examples[i] for i in order], predictions[::-1], resamples=20, seed=2)
    assert turned == score(metric, examples, predictions, resamples=20, seed=2)


@metrics
@settings(max_examples=25)
@given(gold=answer_lists, data=st.data())
def test_counts_are_vectors_and_values_work_on_any_stack_of_sums(name, gold, data):
    other = data.draw(st.lists(full_answers(), min_size=len(gold), max_size=len(gold)))
    metric = METRICS[name](CLASSES)
    counts = np.stack([metric.counts(one, two) for one, two in zip(examples_of(gold), other, strict=True)])
    assert counts.ndim == 2 and counts.dtype == np.float64
    stacked = np.stack([counts, 2 * counts])  # [2, examples, C]
    single = [[float(metric.value(row)) for row in block] for block in stacked]
    np.testing.assert_allclose(metric.value(stacked), single)
    np.testing.assert_allclose(single[0], single[1])  # twice the same examples, the same score
