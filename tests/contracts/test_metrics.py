"""The contract that every row of the metric table enters by itself."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clinprompt.metrics import METRICS
from clinprompt.metrics.scoring import group_counts, score
from clinprompt.schema.concepts import ConceptRelation, mentioned, stated
from clinprompt.schema.document import Relation, Span
from clinprompt.schema.example import Answer, Example
from clinprompt.schema.prediction import Prediction

CLASSES = ("yes", "no", "maybe")
# bert-score needs a model; its tests are its own. The n2c2 script does not give 100 to overlapping or equal spans.
NAMES = [name for name in METRICS if name != "bert-score"] + ["attribute-f1:assertion", "attribute-accuracy:assertion"]
QUIRKS = [name for name in METRICS if ":n2c2-2018" in name]


def span_of(number: int, label: str, at: int, size: int, assertion: str) -> Span:
    told = {"concept": f"{label}{at:04}{size:04}", "assertion": assertion, f"{label}Val": assertion}
    return Span(label, ((at, at + size),), f"s{number}", told)


labels = st.sampled_from(("Alcohol", "StatusTime", "Type"))
spans = st.lists(
    st.tuples(labels, st.integers(0, 20), st.integers(1, 5), st.sampled_from(("present", "absent"))),
    max_size=4,
    unique_by=lambda row: row[:3],
).map(lambda rows: tuple(span_of(i, *row) for i, row in enumerate(rows)))


@st.composite
def full_answers(draw):
    """An answer that has all there is, so that every metric finds what it scores."""
    drawn = draw(spans)
    ids = [span.id for span in drawn]
    ends = st.tuples(st.sampled_from(("effect", "int")), st.sampled_from(ids), st.sampled_from(ids)) if ids else None
    links = draw(st.lists(ends, max_size=3, unique=True)) if ids else []
    words = draw(st.lists(st.sampled_from(("pain", "chest", "aspirin", "none")), min_size=2, max_size=5))
    return Answer(
        spans=drawn,
        relations=tuple(Relation(*link) for link in links),
        label=draw(st.sampled_from(CLASSES)),
        text=" ".join(words),
    )


def example_of(name, answer, group):
    concepts = {span.id: span.attributes["concept"] for span in answer.spans}
    told = [ConceptRelation(link.label, concepts[link.head], concepts[link.tail]) for link in answer.relations]
    metadata = stated(told) | mentioned(answer.spans)
    return Example(id=name, inputs={"note": "n" * 40}, answer=answer, group=group, metadata=metadata)


def examples_of(answers, groups=3):
    return [example_of(f"x{i}", answer, f"g{i % groups}") for i, answer in enumerate(answers)]


def said(answers):
    return [Prediction(example=f"x{i}", answer=answer) for i, answer in enumerate(answers)]


metrics = pytest.mark.parametrize("name", NAMES)
answer_lists = st.lists(full_answers(), min_size=1, max_size=5)


@metrics
def test_the_metric_has_the_name_of_its_row(name):
    assert METRICS[name](CLASSES).name == name


@pytest.mark.parametrize("name", [name for name in NAMES if name not in QUIRKS])
@settings(max_examples=10)
@given(answers=answer_lists)
def test_a_perfect_prediction_scores_100_with_no_width(name, answers):
    result = score(METRICS[name](CLASSES), examples_of(answers), said(answers), resamples=20)
    assert (result.value, result.low, result.high) == (
        pytest.approx(100),
        pytest.approx(100),
        pytest.approx(100),
    )


@metrics
@settings(max_examples=10)
@given(gold=answer_lists, data=st.data())
def test_scores_lie_between_nothing_and_100(name, gold, data):
    other = data.draw(st.lists(full_answers(), min_size=len(gold), max_size=len(gold)))
    for answers in (other, [Answer()] * len(gold)):
        result = score(METRICS[name](CLASSES), examples_of(gold), said(answers), resamples=20)
        assert 0 <= result.low <= result.high <= 100 + 1e-9
        assert 0 <= result.value <= 100 + 1e-9


EVERYTHING = Answer(
    spans=(
        span_of(0, "Alcohol", 0, 4, "present"),
        span_of(1, "StatusTime", 5, 4, "past"),
        span_of(2, "Type", 10, 4, "x"),
        span_of(3, "Type", 1, 2, "x"),  # inside the first
    ),
    relations=(Relation("effect", "s0", "s1"), Relation("int", "s0", "s2")),
    label="yes",
    text="chest pain",
)


@metrics
def test_everything_found_is_100_and_nothing_found_is_0(name):
    metric, examples = METRICS[name](CLASSES), examples_of([EVERYTHING] * 3)
    assert score(metric, examples, said([EVERYTHING] * 3), resamples=5).value == pytest.approx(100)
    assert score(metric, examples, said([Answer()] * 3), resamples=5).value == 0


@metrics
@settings(max_examples=10)
@given(gold=answer_lists, data=st.data())
def test_counts_add_up_however_documents_are_grouped(name, gold, data):
    other = data.draw(st.lists(full_answers(), min_size=len(gold), max_size=len(gold)))
    metric = METRICS[name](CLASSES)
    apart, _ = group_counts(metric, examples_of(gold, groups=len(gold)), said(other))
    together, _ = group_counts(metric, examples_of(gold, groups=1), said(other))
    assert len(apart) == len(gold) and len(together) == 1
    np.testing.assert_allclose(apart.sum(axis=0), together[0])


@metrics
@settings(max_examples=10)
@given(gold=answer_lists, data=st.data())
def test_the_order_of_examples_is_irrelevant(name, gold, data):
    other = data.draw(st.lists(full_answers(), min_size=len(gold), max_size=len(gold)))
    order = data.draw(st.permutations(range(len(gold))))
    metric, examples, predictions = METRICS[name](CLASSES), examples_of(gold), said(other)
    turned = score(metric, [examples[i] for i in order], predictions[::-1], resamples=20, seed=2)
    assert turned == score(metric, examples, predictions, resamples=20, seed=2)


@metrics
@settings(max_examples=10)
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
