"""Which tasks a joint training step sees: probabilities from sizes, and stochastic task sampling."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np

Mixing = Literal["proportional", "temperature", "uniform"]


def mixing_probabilities(
    sizes: Sequence[int], *, mixing: Mixing, cap: int = 2**18, temperature: float = 2.0
) -> np.ndarray:
    """Return the probability of each task: min(size, cap)^(1/T), normalised.

    ``proportional`` is T = 1 (examples-proportional mixing with a cap), ``uniform`` ignores sizes,
    ``temperature`` flattens by T.
    """
    capped = np.minimum(np.asarray(sizes, dtype=np.float64), cap)
    exponent = {"proportional": 1.0, "temperature": 1.0 / temperature, "uniform": 0.0}[mixing]
    weights = capped**exponent
    return weights / weights.sum()


def draw_tasks(probabilities: np.ndarray, *, batch: int, seed: int, step: int) -> list[tuple[int, int]]:
    """Return (task, rows) pairs for one step; the same seed and step always give the same draw.

    The number of tasks is uniform over 2…K, tasks are drawn with replacement by ``probabilities``, and the batch is
    split evenly over the draws with the remainder going to the first (arXiv 2303.02861's stochastic task
    sampling as far as it is public). A single task gets the whole batch.
    """
    K = len(probabilities)
    generator = np.random.default_rng([seed, step])
    draws = 1 if K == 1 else int(generator.integers(2, K + 1))
    draws = min(draws, batch)
    rows = np.zeros(K, dtype=np.int64)
    share, remainder = divmod(batch, draws)
    for i, task in enumerate(generator.choice(K, size=draws, p=probabilities)):
        rows[task] += share + (remainder if i == 0 else 0)
    return [(int(task), int(rows[task])) for task in np.flatnonzero(rows)]
