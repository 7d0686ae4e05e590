from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clinprompt.metrics.signed_ranks import holm, signed_rank_p


@pytest.mark.parametrize("n", [1, 4, 6, 10, 25, 40])
def test_without_ties_it_is_scipys_exact_test(n):
    from scipy.stats import wilcoxon

    for seed in range(5):
        differences = np.random.default_rng([n, seed]).normal(0.4, 1, n)
        assert signed_rank_p(differences) == pytest.approx(wilcoxon(differences, method="exact").pvalue, rel=1e-9)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(-4, 4), min_size=1, max_size=9))
def test_with_ties_and_noughts_it_counts_every_choice_of_signs(differences):
    from scipy.stats import rankdata

    found = np.array([d for d in differences if d])
    if not len(found):
        assert signed_rank_p(differences) == 1.0
        return
    ranks = rankdata(np.abs(found))
    seen = abs(ranks[found > 0].sum() - ranks.sum() / 2)
    sums = np.array([ranks[np.array(signs, bool)].sum() for signs in product((0, 1), repeat=len(found))])
    expected = (np.abs(sums - ranks.sum() / 2) >= seen - 1e-9).mean()
    assert signed_rank_p(differences) == pytest.approx(min(1.0, expected))


def test_a_large_number_of_tasks_nears_the_normal_approximation():
    from scipy.stats import wilcoxon

    differences = np.random.default_rng(1).normal(0.1, 1, 300)
    assert signed_rank_p(differences) == pytest.approx(wilcoxon(differences, method="asymptotic").pvalue, rel=0.02)


def test_few_tasks_have_a_least_p_value_and_the_noise_of_sums_is_no_difference():
    assert [signed_rank_p([1.0 + i for i in range(n)]) for n in (1, 2, 5, 6)] == [1.0, 0.5, 0.0625, 0.03125]
    assert signed_rank_p([]) == signed_rank_p([0.0, 1e-13]) == 1.0
    assert signed_rank_p([0.1 + 0.2, -0.3]) == 1.0  # equal ranks, one of each sign


def test_demsars_own_example():
    """Demšar 2006, table 2: C4.5 with and without m on 14 data sets; R- 93, R+ 12 by his tables, so p between 0.01 and 0.02.

    He shares the rank of a nought; we leave it out: 13 differences.
    """
    gains = [1.2, 1.6, 2.4, 2.5, 3.4, 0.5, 1.4, 1.1, 0.8, -1.4, 0.2, 5.6, -0.3]
    assert signed_rank_p(gains) == pytest.approx(0.0105, abs=0.005)


def test_holm_by_hand():
    """Sorted 0.005, 0.01, 0.03, 0.04: times 4, 3, 2, 1 are 0.02, 0.03, 0.06, 0.04, and the last may not be below 0.06."""
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.5, 0.9]) == [1.0, 1.0] and holm([]) == [] and holm([0.2]) == [0.2]


def test_holm_never_lowers_and_keeps_the_order():
    p = np.random.default_rng(2).random(20).tolist()
    found = holm(p)
    assert all(after >= before for before, after in zip(p, found, strict=True))
    order = np.argsort(p)
    assert (np.diff(np.array(found)[order]) >= 0).all()
    first = int(order[0])
    assert found[first] == pytest.approx(min(1.0, 20 * p[first]))  # Bonferroni for the smallest
