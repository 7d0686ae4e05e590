"""Two methods on the same documents of one target: their difference by resample, and by chance alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from clinprompt.errors import InputError
from clinprompt.metrics.effects import Record, record_of
from clinprompt.metrics.intervals import Variation, mean_of_parts, of_documents, of_runs
from clinprompt.metrics.randomisation import exchanged_differences, share_as_large, with_chance_of_runs
from clinprompt.study.replicates import Replicates


@dataclass(frozen=True, eq=False)
class Pair:
    """``first`` minus ``second``, in percent, run by run where both have the same seeds and draws.

    Raises :class:`InputError` when the two were scored on different numbers of documents.
    """

    first: Replicates
    second: Replicates

    def __post_init__(self) -> None:
        if self.first.documents != self.second.documents:
            raise InputError(
                f"scores of {self.first.documents} and of {self.second.documents} documents cannot be subtracted",
                fix="score both methods on the same documents",
            )

    @property
    def paired_runs(self) -> bool:
        """Whether the runs have the same seeds and draws, and so differ in the method alone."""
        return self.first.runs == self.second.runs

    @property
    def difference(self) -> float:
        """The difference of the mean scores."""
        return float(self.first.scores.mean() - self.second.scores.mean())

    @property
    def resamples(self) -> NDArray[np.float64]:
        """The difference in each resample ``[N]`` of documents and runs."""
        return self.first.values - (self.second.values if self.paired_runs else self.second.others)

    @property
    def variations(self) -> tuple[Variation, ...]:
        """How much the difference varies with the documents and with the runs."""
        documents = of_documents(self.first.fixed - self.second.fixed, documents=self.first.documents)
        return documents, *(of_runs(scores) for scores in self._runs)

    @cached_property
    def chance(self) -> tuple[NDArray[np.float64], bool]:
        """Differences of two methods that are alike ``[N]``, and whether these are every one possible."""
        found, every = exchanged_differences(
            self.first.counts, self.second.counts, self.first.value,
            paired=self.paired_runs, resamples=len(self.first.values),
        )  # fmt: skip
        several = any(len(scores) > 1 for scores in self._runs)
        if every and several:  # each as likely as before, and enough of them for the runs
            found, every = _again(found, len(self.first.values)), False
        return with_chance_of_runs(found, self._runs), every

    @cached_property
    def record(self) -> Record:
        """On how many documents ``first`` is better, equal, and worse, by the mean of the runs."""
        one, two = (side.value(side.counts).mean(axis=0) for side in (self.first, self.second))
        return record_of(one - two)

    @property
    def _runs(self) -> list[NDArray[np.float64]]:
        one, two = self.first.scores, self.second.scores
        return [one - two] if self.paired_runs else [one, two]


def chance_p(pairs: Sequence[Pair]) -> float:
    """The two-sided p-value of the mean difference over targets, documents exchanged within each of them."""
    observed = float(np.mean([pair.difference for pair in pairs]))
    if len(pairs) == 1:
        chance, every = pairs[0].chance
        return share_as_large(observed, chance, every=every)
    count = max(len(pair.first.values) for pair in pairs)
    return share_as_large(observed, mean_of_parts([_again(pair.chance[0], count) for pair in pairs]))


def mean_variations(parts: Sequence[Sequence[Variation]]) -> list[Variation]:
    """How much a mean over targets varies with the documents and runs of each."""
    return [Variation(one.variance / len(parts) ** 2, one.units) for own in parts for one in own]


def _again(chance: NDArray[np.float64], count: int) -> NDArray[np.float64]:
    if len(chance) == count:
        return chance
    return chance[np.random.default_rng(6).integers(0, len(chance), count)]
