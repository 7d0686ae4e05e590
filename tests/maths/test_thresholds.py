"""The border between yes and no against trying every border."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as some

from clinprompt.maths.thresholds import best_threshold


def _f1(scores, right, answers, threshold):
    given_ = [r for s, r in zip(scores, right, strict=True) if s > threshold]
    return 2 * sum(given_) / (len(given_) + answers) if answers else 0.0


@given(some.lists(some.tuples(some.integers(-8, 8), some.booleans()), max_size=12), some.integers(0, 4))
def test_no_border_is_better(pairs, missed):
    scores, right = [s / 2 for s, _ in pairs], [r for _, r in pairs]
    answers = sum(right) + missed
    found = best_threshold(torch.tensor(scores), torch.tensor(right, dtype=torch.bool), answers=answers, least=0.0)
    best = max((_f1(scores, right, answers, t / 4 - 5) for t in range(44)), default=0.0)
    assert _f1(scores, right, answers, found) == pytest.approx(best)


def test_without_anything_to_choose_by_it_stays():
    none = torch.tensor([], dtype=torch.bool)
    assert best_threshold(torch.tensor([]), none, answers=3) == 0.0
    assert best_threshold(torch.tensor([-1.0]), torch.tensor([False]), answers=3) == 0.0
    assert best_threshold(torch.tensor([1.0, 0.5]), torch.tensor([True, True]), answers=2) == 0.0


def test_a_flood_of_false_answers_is_not_taken():
    scores = -torch.arange(1.0, 31.0)
    right = torch.zeros(30, dtype=torch.bool)
    right[[19, 29]] = True
    assert best_threshold(scores, right, answers=2) == 0.0
    right[0] = True
    assert best_threshold(scores, right, answers=3) == -1.5
    assert best_threshold(scores[19:], right[19:], answers=3) == -20.5
