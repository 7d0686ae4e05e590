from __future__ import annotations

import numpy as np
import pytest

from clinprompt.metrics.runs import levels, single_runs, unit_means

SEEDS, DRAWS = [0, 0, 1, 1], [0, 1, 0, 1]


@pytest.mark.parametrize(
    ("runs", "expected"),
    [
        ([(7, 0)], [[0]]),
        ([(7, 0), (7, 4)], [[0, 1]]),
        ([(7, 0), (9, 0)], [[0, 1]]),
        ([(7, 0), (9, 1)], [[0, 1]]),
        ([(7, 0), (7, 1), (9, 2), (9, 3)], [SEEDS]),  # draws of its own for each seed: the seeds are the units
        ([(1, 0), (2, 0), (3, 1), (4, 1)], [SEEDS]),  # the other way round: the draws
        ([(7, 0), (7, 1), (9, 0), (9, 1)], [SEEDS, DRAWS]),
        ([(7, 0), (7, 1), (9, 0)], [SEEDS[:3], DRAWS[:3]]),
    ],
)
def test_what_runs_are_made_of(runs, expected):
    assert [units.tolist() for units in levels(runs)] == expected


def test_the_mean_of_each_unit():
    scores = np.array([1.0, 3.0, 10.0, 20.0])
    seeds, draws = unit_means(scores, levels([(7, 0), (7, 1), (9, 0), (9, 1)]))
    assert (seeds.tolist(), draws.tolist()) == ([2.0, 15.0], [5.5, 11.5])
    (alone,) = unit_means(scores, single_runs(4))
    assert alone.tolist() == scores.tolist()
