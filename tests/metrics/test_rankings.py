from __future__ import annotations

import numpy as np
import pytest

from clinprompt.errors import InputError
from clinprompt.metrics.rankings import cliques, critical_difference, ranking


@pytest.mark.parametrize("methods, q", [(2, 1.960), (3, 2.343), (4, 2.569), (5, 2.728), (10, 3.164)])
def test_the_critical_difference_has_demsars_table_of_q(methods, q):
    """JMLR 7, 2006, table 5(a), level 0.05."""
    assert critical_difference(methods, 30) == pytest.approx(q * np.sqrt(methods * (methods + 1) / 180), abs=5e-4)


@pytest.mark.parametrize("digits", [6, 0])  # without and with ties
def test_friedman_is_scipys(digits):
    from scipy.stats import friedmanchisquare, rankdata

    scores = np.random.default_rng(7).normal(50, 3, (12, 4)).round(digits) + np.array([0, 1, 2, 3])
    found = ranking(scores)
    assert found.p == pytest.approx(friedmanchisquare(*scores.T).pvalue)
    assert found.ranks == pytest.approx(np.mean([rankdata(-row) for row in scores], axis=0)) and found.tasks == 12


def test_a_ranking_by_hand():
    """Ranks 1 2 3, 1 2 3, 2 1 3, 1 2 3: means 1.25, 1.75, 3; chi squared 12 4 (0.75^2 + 0.25^2 + 1) / 12 = 6.5."""
    found = ranking(np.array([[9, 8, 1], [7, 6, 2], [5, 6, 1], [4, 3, 2]], float))
    assert found.ranks == (1.25, 1.75, 3.0) and found.p == pytest.approx(np.exp(-6.5 / 2))  # two degrees of freedom


def test_methods_that_are_all_alike_share_a_rank():
    found = ranking(np.full((5, 3), 40.0))
    assert found.ranks == (2.0, 2.0, 2.0) and found.p == 1.0


def test_methods_that_cannot_be_told_apart_stand_together():
    assert cliques([1.0, 2.0, 3.0], distance=5) == [(0, 1, 2)]
    assert cliques([1.0, 2.0, 3.0], distance=0.5) == []
    assert cliques([3.0, 1.0, 2.0, 2.5], distance=1.2) == [(1, 2), (2, 3, 0)]


@pytest.mark.parametrize("shape", [(5, 2), (1, 4)])
def test_too_few_methods_or_tasks_are_refused(shape):
    with pytest.raises(InputError, match="cannot be ranked"):
        ranking(np.zeros(shape))
