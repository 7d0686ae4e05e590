"""Our statistics against those of statsmodels, where it has the same."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import ndtri
from statsmodels.stats.contingency_tables import mcnemar
from statsmodels.stats.libqsturng import qsturng
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.weightstats import CompareMeans, DescrStatsW

from clinprompt.metrics.intervals import Variation, pooled_interval, stretch
from clinprompt.metrics.randomisation import exchanged_differences, share_as_large, with_chance_of_runs
from clinprompt.metrics.rankings import critical_difference
from clinprompt.metrics.signed_ranks import holm


@pytest.mark.parametrize("count", [1, 2, 7, 40])
@pytest.mark.parametrize("digits", [9, 2])  # without and with equal ones
def test_holm_is_that_of_multipletests(count, digits):
    p = (np.random.default_rng([count, digits]).random(count) ** 4).round(digits)
    assert holm(p.tolist()) == pytest.approx(multipletests(p, method="holm")[1])


@pytest.mark.parametrize("sizes", [(3, 3), (2, 10), (5, 30)])
def test_two_spreads_together_are_welchs_interval(sizes):
    rng = np.random.default_rng(sizes)
    first, second = rng.normal(60, 4, sizes[0]), rng.normal(55, 1, sizes[1])
    found = [Variation(float(one.var() / len(one)), len(one)) for one in (first, second)]
    half = stretch(found) * ndtri(0.975) * np.sqrt(sum(one.variance for one in found))
    low, high = CompareMeans(DescrStatsW(first), DescrStatsW(second)).tconfint_diff(usevar="unequal")
    assert half == pytest.approx((high - low) / 2)


def test_runs_that_differ_by_chance_have_welchs_p():
    rng = np.random.default_rng(3)
    first, second = rng.normal(60, 4, 4), rng.normal(55, 2, 7)
    chance = with_chance_of_runs(np.zeros(200_000), [first, second])
    _, p, _ = CompareMeans(DescrStatsW(first), DescrStatsW(second)).ttest_ind(usevar="unequal")
    assert share_as_large(first.mean() - second.mean(), chance) == pytest.approx(p, abs=0.004)


@pytest.mark.parametrize("answers", [40, 200])
def test_a_mean_over_documents_has_nearly_students_interval(answers):
    share = np.random.default_rng(answers).beta(6, 3, answers)
    counts = np.stack([share, np.ones(answers)], axis=-1)[None]
    found = pooled_interval(counts, lambda sums: 100 * sums[..., 0] / sums[..., 1], resamples=20_000)
    low, high = DescrStatsW(100 * share).tconfint_mean()
    assert found == pytest.approx((low, high), abs=0.06 * (high - low))


@pytest.mark.parametrize("seed", range(4))
def test_exchanging_answers_of_one_question_each_is_mcnemars_exact_test(seed):
    first, second = np.random.default_rng(seed).integers(0, 2, (2, 12)).astype(float)
    chance, every = exchanged_differences(
        first[None, :, None], second[None, :, None], lambda sums: 100 * sums[..., 0] / 12
    )
    table = [[((first == a) & (second == b)).sum() for b in (1, 0)] for a in (1, 0)]
    observed = 100 * float(first.mean() - second.mean())
    assert every and share_as_large(observed, chance, every=every) == pytest.approx(mcnemar(table, exact=True).pvalue)


@pytest.mark.parametrize("methods", [3, 6, 11])
def test_the_critical_difference_has_their_studentised_range(methods):
    q = float(qsturng(0.95, methods, np.inf)) / np.sqrt(2)
    assert critical_difference(methods, 20) == pytest.approx(q * np.sqrt(methods * (methods + 1) / 120), rel=2e-3)
