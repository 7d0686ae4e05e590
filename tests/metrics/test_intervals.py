from __future__ import annotations

import numpy as np
import pytest

from clinprompt.errors import InputError
from clinprompt.metrics import intervals
from clinprompt.metrics.intervals import (
    Variation,
    bootstrap_interval,
    draws,
    mean_of_parts,
    mean_of_runs,
    of_documents,
    of_runs,
    percentile_interval,
    pooled_interval,
    resampled_values,
    run_values,
    stretch,
    stretched_interval,
)
from clinprompt.metrics.labels import macro_f1
from clinprompt.metrics.runs import levels, single_runs
from clinprompt.metrics.spans import span_f1

MICRO = span_f1().value


def random_counts(seed: int, groups: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    hits = rng.integers(0, 5, groups)
    return np.stack([hits, hits + rng.integers(0, 3, groups), hits + rng.integers(0, 3, groups)], axis=1).astype(float)


@pytest.mark.parametrize(
    "value, counts",
    [
        (MICRO, random_counts(1, 9)),
        (
            macro_f1(("a", "b", "c")).value,
            np.random.default_rng(2).integers(0, 2, (9, 3)).repeat(3, axis=1).astype(float),
        ),
    ],
)
def test_the_matrix_product_equals_the_naive_loop_on_the_same_draws(value, counts):
    fast = resampled_values(counts, value, resamples=200, seed=5)
    indices = np.concatenate(list(draws(len(counts), resamples=200, seed=5)))
    slow = [float(value(sum(counts[index] for index in row))) for row in indices]
    np.testing.assert_allclose(fast, slow, rtol=1e-12)


def test_blocks_do_not_change_the_draws(monkeypatch):
    whole = resampled_values(random_counts(1, 7), MICRO, resamples=100, seed=3)
    monkeypatch.setattr(intervals, "_CELLS_AT_ONCE", 50)
    np.testing.assert_array_equal(resampled_values(random_counts(1, 7), MICRO, resamples=100, seed=3), whole)


def test_percentiles_are_those_of_scipy():
    from scipy.stats import bootstrap

    counts = random_counts(4, 60)
    ours = percentile_interval(resampled_values(counts, MICRO, resamples=10_000, seed=1))

    def statistic(indices, axis=-1):
        return MICRO(counts[indices].sum(axis=-2))

    theirs = bootstrap(
        (np.arange(60),), statistic, n_resamples=10_000, method="percentile", rng=np.random.default_rng(2)
    )
    assert ours == pytest.approx(tuple(theirs.confidence_interval), abs=0.35)  # Monte Carlo error of 10,000 draws


def test_a_seed_gives_the_same_interval_and_another_seed_nearly():
    counts = random_counts(4, 30)
    first, again, other = (bootstrap_interval(counts, MICRO, resamples=4000, seed=seed) for seed in (1, 1, 2))
    assert first == again != other
    assert other == pytest.approx(first, abs=1.0)


def test_one_group_has_no_width_and_none_is_refused():
    counts = random_counts(1, 1)
    low, high = bootstrap_interval(counts, MICRO, resamples=50)
    assert low == high == float(MICRO(counts[0]))
    with pytest.raises(InputError, match="no examples"):
        bootstrap_interval(counts[:0], MICRO)


def test_the_interval_covers_the_truth_about_as_often_as_it_says():
    # Documents with a share of hits of their own: 60 spans' worth of clustering per document, truth known.
    rng = np.random.default_rng(0)
    covered, trials = 0, 400
    for trial in range(trials):
        share = rng.beta(6, 4, 40)
        size = 12
        hits = rng.binomial(size, share)
        counts = np.stack([hits, np.full(40, size), np.full(40, size)], axis=1).astype(float)
        low, high = bootstrap_interval(counts, MICRO, resamples=400, seed=trial)
        covered += low <= 60.0 <= high  # F1 = hits / size, and E[share] = 0.6
    assert 0.90 <= covered / trials <= 0.975


def test_clustering_widens_the_interval_that_single_spans_would_give():
    rng = np.random.default_rng(1)
    hits = rng.binomial(20, rng.beta(1, 1, 40))
    clustered = np.stack([hits, np.full(40, 20), np.full(40, 20)], axis=1).astype(float)
    single = np.zeros((800, 3))
    single[: hits.sum(), 0] = 1
    single[:, 1:] = 1
    width = [
        high - low for low, high in (bootstrap_interval(rows, MICRO, resamples=2000) for rows in (clustered, single))
    ]
    assert width[0] > 2 * width[1]


@pytest.mark.parametrize("groups", [1, 7])
def test_the_pooled_interval_of_one_run_is_the_interval(groups):
    counts = random_counts(6, groups)
    for seed in (0, 3):
        assert pooled_interval(counts[None], MICRO, resamples=300, seed=seed) == bootstrap_interval(
            counts, MICRO, resamples=300, seed=seed
        )


def test_pooled_runs_share_their_documents():
    """Two equal runs say no more than one: their interval is as wide as one run's, not narrower by the root of two."""
    counts = random_counts(6, 12)
    assert pooled_interval(np.stack([counts, counts]), MICRO, resamples=2000) == bootstrap_interval(
        counts, MICRO, resamples=2000
    )


def test_the_pooled_interval_equals_the_naive_two_level_bootstrap():
    counts = np.stack([random_counts(seed, 8) for seed in range(3)])
    low, high = pooled_interval(counts, MICRO, resamples=4000, seed=1)
    rng, means = np.random.default_rng(9), []
    for _ in range(4000):
        documents, runs = rng.integers(0, 8, 8), rng.integers(0, 3, 3)
        means.append(np.mean([MICRO(counts[run][documents].sum(axis=0)) for run in runs]))
    naive = tuple(np.quantile(means, [0.025, 0.975]))
    by_run = run_values(counts, MICRO, resamples=4000, seed=1)
    assert percentile_interval(mean_of_runs(by_run, single_runs(3), seed=1)) == pytest.approx(naive, abs=1.0)
    scores = MICRO(counts.sum(axis=1))
    factor = stretch((of_documents(by_run.mean(axis=1), documents=8), *of_runs(scores, single_runs(3))))
    centre = scores.mean()
    stretched = centre - factor * (centre - naive[0]), centre + factor * (naive[1] - centre)
    assert (low, high) == pytest.approx(stretched, abs=2.0)


def test_runs_side_by_side_are_each_as_if_alone_and_share_the_documents():
    counts = np.stack([random_counts(seed, 8) for seed in range(3)])
    together = run_values(counts, MICRO, resamples=50, seed=2)
    assert together.shape == (50, 3)
    for number, run in enumerate(counts):
        np.testing.assert_allclose(together[:, number], resampled_values(run, MICRO, resamples=50, seed=2))


def test_drawn_runs_are_the_same_for_a_seed_and_others_for_another_stream():
    by_run = np.arange(12.0).reshape(1, 12).repeat(200, axis=0)
    first, again, other = (mean_of_runs(by_run, single_runs(12), stream=stream) for stream in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert abs(np.corrcoef(first, other)[0, 1]) < 0.2


def test_crossed_seeds_and_draws_are_drawn_each_by_itself():
    """The naive way: a table of seeds by draws, of which rows and columns are drawn."""
    table = np.array([[10.0, 40.0, 30.0], [20.0, 50.0, 60.0]])  # [seeds, draws]
    rng, naive = np.random.default_rng(1), []
    for _ in range(20_000):
        naive.append(table[rng.integers(0, 2, 2)][:, rng.integers(0, 3, 3)].mean())
    runs = [(seed, draw) for seed in range(2) for draw in range(3)]
    means = mean_of_runs(np.tile(table.ravel(), (20_000, 1)), levels(runs))
    assert means.mean() == pytest.approx(np.mean(naive), abs=0.3)
    assert means.std() == pytest.approx(np.std(naive), rel=0.03)
    seeds, draws = of_runs(table.ravel(), levels(runs))
    assert (seeds.units, draws.units) == (2, 3)
    assert (seeds.variance, draws.variance) == pytest.approx(
        (table.mean(axis=1).var() / 2, table.mean(axis=0).var() / 3)
    )
    alone = mean_of_runs(np.tile(table.ravel(), (20_000, 1)), single_runs(6))
    assert means.std() > 1.3 * alone.std()


def test_a_resample_of_runs_that_are_missing_is_of_those_that_are_there():
    by_run = np.tile([1.0, 3.0], (500, 1))
    means = mean_of_runs(by_run, levels([(1, 0), (2, 1), (1, 1)][:2]))
    assert set(means) == {1.0, 2.0, 3.0}
    crossed = mean_of_runs(np.tile([1.0, 2.0, 3.0], (500, 1)), levels([(1, 0), (1, 1), (2, 0)]))
    assert np.isfinite(crossed).all()


def test_parts_vary_independently_and_a_pair_in_step():
    part, gain = np.random.default_rng(0).normal(size=(2, 2000))
    np.testing.assert_array_equal(np.sort(mean_of_parts([part])), np.sort(part))
    assert mean_of_parts([part, part]).var() == pytest.approx(part.var() / 2, rel=0.1)  # not part.var()
    both = mean_of_parts([part + gain, part]) - mean_of_parts([part, part])
    np.testing.assert_allclose(both, mean_of_parts([gain, np.zeros(2000)]), atol=1e-12)


def test_the_stretch_of_one_level_is_that_of_a_t_interval_over_a_normal_one():
    """The mean of ten numbers: percentiles give sd sqrt(9/10) z / sqrt(10), Student's interval sd t / sqrt(10)."""
    numbers = np.random.default_rng(0).normal(50, 10, 10)
    found = stretch([Variation(numbers.var() / 10, 10)])
    assert found == pytest.approx(np.sqrt(10 / 9) * 2.262157 / 1.959964, rel=1e-6)


def test_the_stretch_of_two_levels_by_hand():
    """Variances 3 of 4 units and 1 of 2: true ones 4 and 2, so 6^2 / (4^2/3 + 2^2/1) = 3.857 degrees of freedom."""
    from scipy.stats import norm, t

    expected = np.sqrt(6 / 4) * t.ppf(0.975, 36 / (16 / 3 + 4)) / norm.ppf(0.975)
    assert stretch([Variation(3.0, 4), Variation(1.0, 2)]) == pytest.approx(expected)


@pytest.mark.parametrize("nothing", [[], [Variation(0.0, 9)], [Variation(1.0, 1)]])
def test_what_does_not_vary_stretches_nothing(nothing):
    assert stretch(nothing) == 1.0
    assert stretched_interval(np.arange(101.0), nothing, centre=50.0) == pytest.approx((2.5, 97.5))


def test_a_stretched_interval_keeps_its_skew_and_its_bounds():
    values = np.concatenate([np.full(50, 90.0), np.full(50, 99.0)])
    low, high = stretched_interval(values, [Variation(1.0, 2)], centre=97.0)
    factor = np.sqrt(2) * 12.706205 / 1.959964
    assert (low, high) == (pytest.approx(97 - 7 * factor), 100.0)
    assert stretched_interval(values, [Variation(1.0, 2)], centre=80.0)[0] == 90.0  # never narrower
