from __future__ import annotations

import time
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clinprompt.errors import InputError
from clinprompt.metrics import randomisation
from clinprompt.metrics.labels import macro_f1
from clinprompt.metrics.randomisation import exchanged_differences, share_as_large, with_chance_of_runs
from clinprompt.metrics.spans import span_f1

MICRO = span_f1().value
MACRO = macro_f1(("a", "b")).value


def mean(total: np.ndarray) -> np.ndarray:
    return 100 * total[..., 0] / total[..., 1]


def counts(seed: int, *, runs: int, groups: int, width: int = 3) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 6, (runs, groups, width)).astype(float)


def naive(first: np.ndarray, second: np.ndarray, value, mask, *, paired: bool) -> float:
    """One exchange, document by document."""
    changes = []
    for s, one in enumerate(first):
        for r, two in enumerate(second):
            if paired and r != s:
                continue
            left = sum(two[g] if out else one[g] for g, out in enumerate(mask))
            right = sum(one[g] if out else two[g] for g, out in enumerate(mask))
            changes.append(float(value(left) - value(right)))
    return float(np.mean(changes))


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 999), st.integers(1, 3), st.integers(1, 3), st.integers(1, 5), st.sampled_from([MICRO, MACRO]))
def test_every_exchange_equals_the_naive_one(seed, runs, others, groups, value):
    width = 3 if value is MICRO else 6
    first, second = (
        counts(seed, runs=runs, groups=groups, width=width),
        counts(seed + 1, runs=others, groups=groups, width=width),
    )
    paired = runs == others
    found, every = exchanged_differences(first, second, value, paired=paired)
    # The masks in the order of binary numbers, the first document being the lowest bit.
    expected = [
        naive(first, second, value, mask[::-1], paired=paired) for mask in product((False, True), repeat=groups)
    ]
    assert every and found == pytest.approx(expected, abs=1e-9)


def test_three_documents_by_hand():
    """Gains of 1, 2 and 3 hits of 10 on equal documents: of the 8 sign patterns two are as far from 0 as all plus."""
    one = np.array([[[6, 10], [5, 10], [9, 10]]], float)
    two = np.array([[[5, 10], [3, 10], [6, 10]]], float)
    chance, every = exchanged_differences(one, two, mean)
    # |±1 ±2 ±3| hits of 30 documents' items: 0, 2, 4 and 6, each twice.
    assert sorted(np.abs(chance)) == pytest.approx([0, 0, 20 / 3, 20 / 3, 40 / 3, 40 / 3, 20, 20], abs=1e-9)
    assert share_as_large(20.0, chance, every=every) == 2 / 8
    assert share_as_large(-40 / 3, chance, every=every) == 4 / 8 and share_as_large(0.0, chance, every=every) == 1


@pytest.mark.parametrize("value, width", [(MICRO, 3), (MACRO, 6)])
def test_the_exact_p_value_is_that_of_scipy(value, width):
    from scipy.stats import permutation_test

    first, second = (counts(seed, runs=1, groups=9, width=width) for seed in (3, 4))

    def statistic(one, two, axis=-1):
        # scipy exchanges what stands at the same place: numbers of documents, 0-8 of the first and 9-17 of the second.
        both = np.concatenate([first[0], second[0]])
        return value(both[one.astype(int)].sum(axis=-2)) - value(both[two.astype(int)].sum(axis=-2))

    theirs = permutation_test(
        (np.arange(9), np.arange(9, 18)), statistic, permutation_type="samples", vectorized=True, n_resamples=np.inf
    )
    observed = float(value(first[0].sum(axis=0)) - value(second[0].sum(axis=0)))
    chance, every = exchanged_differences(first, second, value)
    # scipy doubles the smaller tail; the chance differences are symmetric, so both tails are the same.
    assert share_as_large(observed, chance, every=every) == pytest.approx(theirs.pvalue)


def test_the_drawn_p_value_is_near_the_exact_one_and_the_one_seen_counts():
    first, second = counts(5, runs=2, groups=12), counts(6, runs=2, groups=12)
    observed = float((MICRO(first.sum(axis=1)) - MICRO(second.sum(axis=1))).mean())
    exact, every = exchanged_differences(first, second, MICRO)
    drawn, some = exchanged_differences(first, second, MICRO, resamples=4000, seed=2)
    assert every and not some and len(exact) == 2**12 and len(drawn) == 4000
    assert share_as_large(observed, drawn) == pytest.approx(share_as_large(observed, exact, every=True), abs=0.03)
    assert share_as_large(101.0, drawn) == 1 / 4001  # never 0
    again, _ = exchanged_differences(first, second, MICRO, resamples=4000, seed=2)
    np.testing.assert_array_equal(drawn, again)


@pytest.mark.parametrize("resamples", [8, 40])
def test_blocks_do_not_change_the_draws(monkeypatch, resamples):
    first, second = counts(1, runs=2, groups=5), counts(2, runs=2, groups=5)
    whole, _ = exchanged_differences(first, second, MICRO, resamples=resamples)
    monkeypatch.setattr(randomisation, "_NUMBERS_AT_ONCE", 30)
    np.testing.assert_allclose(exchanged_differences(first, second, MICRO, resamples=resamples)[0], whole)


def test_methods_that_say_the_same_do_not_differ_and_large_gains_do():
    same = counts(1, runs=3, groups=40)
    chance, _ = exchanged_differences(same, same, MICRO, resamples=500)
    assert not chance.any() and share_as_large(0.0, chance) == 1.0
    better = same.copy()
    better[..., 0] += 3
    chance, _ = exchanged_differences(better, same, MICRO, resamples=500)
    observed = float((MICRO(better.sum(axis=1)) - MICRO(same.sum(axis=1))).mean())
    assert share_as_large(observed, chance) == 1 / 501


def test_few_runs_widen_what_chance_can_do_and_one_run_does_not():
    chance = np.zeros(20_000)
    assert with_chance_of_runs(chance, [np.array([7.0])]) is chance
    found = with_chance_of_runs(chance, [np.array([1.0, 2.0, 3.0])])  # standard error 1 / sqrt(3), t of two
    assert np.quantile(found, 0.975) == pytest.approx(4.302653 / np.sqrt(3), rel=0.08)
    both = with_chance_of_runs(chance, [np.array([1.0, 2.0, 3.0]), np.arange(30.0)])
    assert both.std() > found.std()


@pytest.mark.parametrize(
    "second, paired, message",
    [
        (counts(2, runs=2, groups=4), True, "5 and of 4 documents"),
        (counts(2, runs=3, groups=5), True, "2 runs cannot be paired with 3"),
    ],
)
def test_what_cannot_be_compared_is_refused(second, paired, message):
    with pytest.raises(InputError, match=message):
        exchanged_differences(counts(1, runs=2, groups=5), second, MICRO, paired=paired)


def test_ten_thousand_resamples_of_a_thousand_documents_and_nine_runs_are_quick():
    first, second = counts(1, runs=9, groups=1000), counts(2, runs=9, groups=1000)
    began = time.process_time()
    chance, every = exchanged_differences(first, second, MICRO)
    assert time.process_time() - began < 2.0
    assert len(chance) == 10_000 and not every
