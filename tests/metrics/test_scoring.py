from __future__ import annotations

import pytest

from clinprompt.errors import InputError
from clinprompt.metrics.scoring import group_counts, score
from clinprompt.metrics.spans import span_f1

from .made import answer, gold, predicted

EXAMPLES = [
    gold(answer(("A", 0, 1)), id="1", group="p"),
    gold(answer(("A", 2, 3)), id="2", group="q"),
    gold(answer(("A", 4, 5), ("B", 6, 7)), id="3", group="p"),
]
PREDICTIONS = [
    predicted(answer(("A", 4, 5)), id="3"),
    predicted(answer(("A", 0, 1)), id="1"),
    predicted(answer(("B", 2, 3)), id="2"),
]


def test_examples_of_a_group_are_summed_before_resampling():
    counts, names = group_counts(span_f1(), EXAMPLES, PREDICTIONS)
    assert names == ("p", "q")
    assert counts.tolist() == [[2, 2, 3], [0, 1, 1]]


def test_a_score_has_its_value_interval_and_sizes():
    result = score(span_f1(), EXAMPLES, PREDICTIONS, resamples=500, seed=1)
    assert (result.metric, result.n, result.groups) == ("span-f1", 3, 2)
    assert result.value == pytest.approx(200 * 2 / (3 + 4))
    # Two groups, of 0 and of 80: percentiles 0 and 80, stretched as far as percents go, for two documents say little.
    assert (result.low, result.high) == (0.0, 100.0)


def test_the_order_of_the_lists_does_not_matter():
    one = score(span_f1(), EXAMPLES, PREDICTIONS, resamples=100, seed=1)
    assert score(span_f1(), EXAMPLES[::-1], PREDICTIONS[::-1], resamples=100, seed=1) == one


@pytest.mark.parametrize(
    ("examples", "predictions", "message"),
    [
        ([], [], "no examples"),
        (EXAMPLES, PREDICTIONS[1:], "1 examples have no prediction"),
        (EXAMPLES[1:], PREDICTIONS, "1 predictions have no example"),
        ([*EXAMPLES, EXAMPLES[0]], PREDICTIONS, "stands twice"),
        (EXAMPLES, [*PREDICTIONS, PREDICTIONS[0]], "stands twice"),
    ],
)
def test_lists_that_do_not_fit_are_refused(examples, predictions, message):
    with pytest.raises(InputError, match=message):
        score(span_f1(), examples, predictions)
