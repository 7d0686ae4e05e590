import numpy as np
import pytest

from clinprompt.maths.mixture import draw_tasks, mixing_probabilities


def test_probabilities_follow_sizes_with_a_cap():
    np.testing.assert_allclose(mixing_probabilities([10, 30], mixing="proportional"), [0.25, 0.75])
    np.testing.assert_allclose(mixing_probabilities([10, 3000], mixing="proportional", cap=10), [0.5, 0.5])
    np.testing.assert_allclose(mixing_probabilities([1, 9], mixing="temperature", temperature=2.0), [0.25, 0.75])
    np.testing.assert_allclose(mixing_probabilities([1, 9], mixing="uniform"), [0.5, 0.5])


@pytest.mark.parametrize("tasks", [1, 2, 7])
def test_every_step_fills_the_batch_and_is_reproducible(tasks):
    probabilities = mixing_probabilities([5] * tasks, mixing="uniform")
    for step in range(50):
        plan = draw_tasks(probabilities, batch=12, seed=3, step=step)
        assert sum(rows for _, rows in plan) == 12
        assert plan == draw_tasks(probabilities, batch=12, seed=3, step=step)


def test_large_tasks_are_drawn_in_proportion():
    probabilities = mixing_probabilities([100, 300], mixing="proportional")
    rows = np.zeros(2)
    for step in range(2000):
        for task, count in draw_tasks(probabilities, batch=8, seed=0, step=step):
            rows[task] += count
    assert abs(rows[1] / rows.sum() - 0.75) < 0.02
