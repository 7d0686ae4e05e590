from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from nervaluate import Evaluator
from seqeval.metrics import f1_score
from seqeval.scheme import IOB2

from clinprompt.metrics.metric import Metric
from clinprompt.metrics.spans import (
    lenient_counts,
    nested_counts,
    span_f1,
    span_f1_lenient,
    span_f1_nested,
    strict_counts,
)
from clinprompt.schema.document import Span
from clinprompt.schema.example import Answer

from .made import answer, gold


def value(metric: Metric, pairs) -> float:
    return float(metric.value(sum(metric.counts(gold(one), other) for one, other in pairs)))


def test_strict_by_hand():
    # Hits: the nested Drug 0-4 and the discontinuous one; misses: a wrong label, a wrong end, a joined gap.
    right = answer(("Drug", 0, 4), ("Dose", 0, 4), ("Drug", 0, 9), ("Drug", 10, 12, 14, 16), ("Dose", 20, 22, 24, 26))
    said = answer(("Drug", 0, 4), ("Route", 0, 4), ("Drug", 0, 8), ("Drug", 10, 12, 14, 16), ("Dose", 20, 26))
    assert strict_counts(right, said) == (2, 5, 5)
    assert value(span_f1(), [(right, said)]) == pytest.approx(40.0)


def test_micro_f1_sums_over_examples_before_dividing():
    pairs = [
        (answer(("A", 0, 1)), answer(("A", 0, 1))),
        (answer(("A", 0, 1), ("A", 2, 3), ("A", 4, 5)), answer()),
    ]
    assert value(span_f1(), pairs) == pytest.approx(200 * 1 / (1 + 4))


def test_a_span_said_twice_counts_once():
    assert strict_counts(answer(("A", 0, 1)), answer(("A", 0, 1), ("A", 0, 1))) == (1, 1, 1)


@pytest.mark.parametrize("metric", [span_f1(), span_f1_lenient()])
def test_nothing_gold_and_nothing_predicted_is_right(metric):
    assert value(metric, [(answer(), answer())]) == 100.0
    assert value(metric, [(answer(), answer(("A", 0, 1)))]) == 0.0
    assert value(metric, [(answer(("A", 0, 1)), answer())]) == 0.0


def test_lenient_by_hand():
    right = answer(("A", 0, 5), ("A", 10, 12, 18, 20), ("B", 30, 35))
    said = answer(("A", 4, 8), ("A", 13, 17), ("A", 30, 35))  # overlap, inside the gap, another label
    assert lenient_counts(right, said) == (1, 3, 3)


def test_lenient_matching_is_not_greedy():
    # The first prediction overlaps both gold spans, the second only the first gold span.
    right, said = answer(("A", 0, 5), ("A", 6, 10)), answer(("A", 3, 8), ("A", 0, 2))
    assert lenient_counts(right, said) == (2, 2, 2)


def test_one_long_prediction_matches_one_gold_span():
    assert lenient_counts(answer(("A", 0, 2), ("A", 3, 5)), answer(("A", 0, 5))) == (1, 1, 2)


small_spans = st.lists(
    st.tuples(st.sampled_from("AB"), st.integers(0, 8), st.integers(1, 4)).map(
        lambda row: (row[0], row[1], row[1] + row[2])
    ),
    max_size=4,
    unique=True,
).map(lambda rows: answer(*rows))


@given(small_spans, small_spans)
def test_lenient_finds_the_best_of_all_pairings(right, said):
    def fits(one: Span, other: Span) -> bool:
        return one.label == other.label and one.start < other.end and other.start < one.end

    short, long = sorted((right.spans, said.spans), key=len)
    best = max(
        sum(fits(one, other) for one, other in zip(short, order, strict=True))
        for order in itertools.permutations(long, len(short))
    )
    assert lenient_counts(right, said)[0] == best


def test_nested_by_hand():
    # Gold nested: the first three; flat: B 20-22, and C with a gap that holds D without sharing a character.
    right = answer(("A", 0, 9), ("B", 0, 4), ("A", 3, 6), ("B", 20, 22), ("C", 30, 32, 34, 36), ("D", 32, 34))
    said = answer(("A", 0, 9), ("B", 0, 4), ("B", 20, 22), ("C", 21, 23), ("D", 32, 34))
    assert nested_counts(right, said) == (2, 4, 3)
    assert value(span_f1_nested(), [(right, said)]) == pytest.approx(100 * 4 / 7)
    assert value(span_f1_nested(), [(right, answer(("A", 0, 9), ("D", 32, 34)))]) == 0.0


def test_one_place_with_two_labels_is_nested():
    assert nested_counts(answer(("A", 0, 4), ("B", 0, 4)), answer(("A", 0, 4))) == (0, 0, 2)


@given(small_spans, small_spans)
def test_nested_counts_what_pairs_of_spans_say(right, said):
    def nested(spans):
        shared = set()
        for one, other in itertools.combinations({span.key: span for span in spans}.values(), 2):
            if set(range(one.start, one.end)) & set(range(other.start, other.end)):
                shared |= {one.key, other.key}
        return shared

    expected, given_ = nested(right.spans), nested(said.spans)
    assert nested_counts(right, said) == (len(expected & given_), len(given_), len(expected))


@given(small_spans, small_spans)
def test_lenient_is_never_below_strict(right, said):
    assert lenient_counts(right, said)[0] >= strict_counts(right, said)[0]


def tags_and_spans(rng: np.random.Generator, length: int) -> tuple[list[str], Answer]:
    """A random IOB2 sentence of one-character tokens, and the spans it says."""
    tags, rows, at = [], [], 0
    while at < length:
        size = int(rng.integers(1, 4))
        if rng.random() < 0.5 or at + size > length:
            tags.append("O")
            at += 1
        else:
            label = str(rng.choice(["A", "B", "C"]))
            tags += [f"B-{label}", *[f"I-{label}"] * (size - 1)]
            rows.append((label, at, at + size))
            at += size
    return tags, answer(*rows)


@pytest.mark.parametrize("seed", range(8))
def test_strict_agrees_with_seqeval_on_flat_spans(seed):
    rng = np.random.default_rng(seed)
    right = [tags_and_spans(rng, 12) for _ in range(15)]
    said = [one if rng.random() < 0.5 else tags_and_spans(rng, 12) for one in right]
    oracle = f1_score([tags for tags, _ in right], [tags for tags, _ in said], mode="strict", scheme=IOB2)
    pairs = [(one[1], other[1]) for one, other in zip(right, said, strict=True)]
    assert value(span_f1(), pairs) == pytest.approx(100 * oracle)


@pytest.mark.parametrize("seed", range(4))
def test_strict_agrees_with_nervaluate_on_flat_spans(seed):
    rng = np.random.default_rng(seed)
    right = [tags_and_spans(rng, 12)[1] for _ in range(15)]
    said = [one if rng.random() < 0.4 else tags_and_spans(rng, 12)[1] for one in right]

    def listed(answers):
        # nervaluate's ends are inclusive
        return [[{"label": s.label, "start": s.start, "end": s.end - 1} for s in one.spans] for one in answers]

    oracle = Evaluator(listed(right), listed(said), tags=["A", "B", "C"], loader="dict").evaluate()
    found = oracle["overall"]["strict"]
    assert value(span_f1(), zip(right, said, strict=True)) == pytest.approx(100 * found.f1)
    hits, given, expected = sum(span_f1().counts(gold(one), other) for one, other in zip(right, said, strict=True))
    assert (hits, given, expected) == (found.correct, found.actual, found.possible)
