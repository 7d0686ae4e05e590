from itertools import pairwise

import pytest

from clinprompt.maths.schedule import rate_factor


def test_rises_then_falls_to_the_floor():
    factors = [rate_factor(step, steps=100, warmup=10, floor=0.1) for step in range(100)]
    assert factors[0] > 0
    assert max(factors) == pytest.approx(factors[9])
    assert factors[99] == pytest.approx(0.1)
    assert all(a > b for a, b in pairwise(factors[10:]))


def test_one_step_runs_at_full_rate_over_its_warmup():
    assert rate_factor(0, steps=1, warmup=1) == 1.0
