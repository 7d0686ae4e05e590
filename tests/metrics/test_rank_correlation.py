from __future__ import annotations

import numpy as np
import pytest

from clinprompt.metrics.rank_correlation import rank_correlation


def test_by_hand():
    """Ranks 1 2 3 4 and 2 1 4 3: rho is 1 - 6 · 4 / (4 · 15) = 0.6; 10 of the 24 orders are as far from 0."""
    found = rank_correlation([0.1, 0.2, 0.3, 0.4], [5.0, 1.0, 9.0, 7.0])
    assert (found.rho, found.n, found.p) == (pytest.approx(0.6), 4, pytest.approx(10 / 24))
    assert rank_correlation([1, 2, 3, 4], [8, 6, 4, 2]).rho == -1


@pytest.mark.parametrize("digits", [6, 0])  # without and with ties
@pytest.mark.parametrize("n", [4, 7, 12])
def test_rho_is_scipys_and_p_that_of_all_orders(n, digits):
    from scipy.stats import permutation_test, spearmanr

    rng = np.random.default_rng([n, digits])
    x, y = rng.normal(0, 2, n).round(digits), rng.normal(0, 2, n).round(digits)
    found = rank_correlation(x, y)
    assert found.rho == pytest.approx(spearmanr(x, y).statistic)
    if n <= 7:
        every = permutation_test(
            (x,), lambda z: spearmanr(z, y).statistic, permutation_type="pairings", n_resamples=np.inf
        )
        assert found.p == pytest.approx(every.pvalue)
    else:
        assert found.p == pytest.approx(spearmanr(x, y).pvalue, abs=0.03)
    assert rank_correlation(x, y) == found


def test_few_tasks_or_a_constant_have_none():
    assert rank_correlation([1, 2, 3], [1, 2, 3]) is None and rank_correlation([], []) is None
    assert rank_correlation([1, 2, 3, 4], [0.3, 0.1 + 0.2, 0.3, 0.3]) is None
