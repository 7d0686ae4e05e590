"""What every metric is: counts that add up over examples, and a value of the sum."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from clinprompt.schema.example import Answer, Example

Counts = NDArray[np.float64]
"""Additive counts ``[C]`` of one example, or sums of them ``[..., C]``."""


Part = tuple[Example, Answer]
"""One example of a document, such as a window of it, and what was predicted for it."""


class Metric(Protocol):
    """A score whose value depends on summed counts only: resampling documents is one matrix product."""

    @property
    def name(self) -> str:
        """The name in the metric table."""
        ...

    def counts(self, gold: Example, predicted: Answer) -> Counts:
        """The counts ``[C]`` of one example."""
        ...

    def value(self, total: Counts) -> Counts:
        """Percent for each of the sums ``[..., C]``, shape ``[...]``."""
        ...


@runtime_checkable
class DocumentMetric(Metric, Protocol):
    """A metric that counts whole documents: what one window says may depend on what another says."""

    def document_counts(self, parts: Sequence[Part]) -> Counts:
        """The counts ``[C]`` of one document from all its examples."""
        ...


@dataclass(frozen=True, slots=True)
class MicroF1:
    """F1 over all items of all examples from ``[hits, predicted, gold]``: ``200 hits / (predicted + gold)``.

    Nothing gold and nothing predicted is right: 100. Either one alone gives 0.
    """

    name: str
    count: Callable[[Answer, Answer], tuple[int, int, int]]

    def counts(self, gold: Example, predicted: Answer) -> Counts:
        """Hits, predicted items and gold items of one example."""
        return np.array(self.count(gold.answer, predicted), dtype=np.float64)

    def value(self, total: Counts) -> Counts:
        """F1 in percent for sums ``[..., 3]``."""
        return f1(total[..., 0], total[..., 1], total[..., 2], nothing=100.0)


@dataclass(frozen=True, slots=True)
class Mean:
    """The mean over examples of a score between 0 and 1, from ``[sum, examples]``."""

    name: str
    score: Callable[[Example, Answer], float]

    def counts(self, gold: Example, predicted: Answer) -> Counts:
        """The example's score, and one example."""
        return np.array([self.score(gold, predicted), 1.0])

    def value(self, total: Counts) -> Counts:
        """The mean in percent for sums ``[..., 2]``."""
        return 100.0 * total[..., 0] / total[..., 1]


def mean_f1(total: Counts, *, classes: int) -> Counts:
    """The mean of the classes' F1 in percent, for sums ``[..., 3 classes]``: hits, predicted and gold of each.

    A class that is neither gold nor predicted has no F1 and is left out of the mean (scikit-learn's convention when
    it takes the classes from the data); where no class is left, the value is 100.
    """
    hits, predicted, gold = (total[..., part * classes : (part + 1) * classes] for part in range(3))
    present = ((predicted + gold) > 0).sum(axis=-1)
    found = f1(hits, predicted, gold, nothing=0.0).sum(axis=-1)
    return np.where(present > 0, found / np.maximum(present, 1), 100.0)


def f1(hits: Counts, predicted: Counts, gold: Counts, *, nothing: float) -> Counts:
    """F1 in percent, elementwise; ``nothing`` is its value where nothing is gold and nothing predicted."""
    size = predicted + gold
    return np.where(size > 0, 200.0 * hits / np.where(size > 0, size, 1.0), nothing)
