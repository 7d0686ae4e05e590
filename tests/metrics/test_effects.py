from __future__ import annotations

import numpy as np
import pytest

from clinprompt.metrics.effects import Record, record_of, typical_difference


def test_wins_ties_and_losses_as_shown():
    assert record_of([0.04, -0.04, 0.06, -3.0, 0.0], digits=1) == Record(wins=1, ties=3, losses=1)
    assert record_of([1e-12, 1e-8]) == Record(1, 1, 0) and record_of([]) == Record(0, 0, 0)


def test_the_typical_difference_is_the_median_of_walsh_averages():
    differences = np.random.default_rng(3).normal(1, 2, 11)
    averages = [(a + b) / 2 for i, a in enumerate(differences) for b in differences[i:]]
    assert typical_difference(differences) == pytest.approx(np.median(averages))
    assert typical_difference([4.0]) == 4.0


def test_one_task_far_out_does_not_move_it():
    plain = [1.0, 2.0, 1.5, 1.2, 1.8]
    assert abs(typical_difference([*plain, 90.0]) - typical_difference(plain)) < 1
