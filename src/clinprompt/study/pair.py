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
from clinprompt.metrics.runs import Levels, unit_means
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
        """How much the difference varies with the documents and with the seeds and draws."""
        documents = of_documents(self.first.fixed - self.second.fixed, documents=self.first.documents)
        return documents, *(one for scores, made_of in self._runs for one in of_runs(scores, made_of))

    @cached_property
    def chance(self) -> tuple[NDArray[np.float64], bool]:
        """Differences of methods that are alike ``[N]``, in these runs, and whether they are every one possible."""
        return exchanged_differences(
            self.first.counts, self.second.counts, self.first.value,
            paired=self.paired_runs, resamples=len(self.first.values),
        )  # fmt: skip

    @cached_property
    def record(self) -> Record:
        """On how many documents ``first`` is better, equal, and worse, by the mean of the runs."""
        one, two = (side.value(side.counts).mean(axis=0) for side in (self.first, self.second))
        return record_of(one - two)

    @property
    def units(self) -> list[NDArray[np.float64]]:
        """What seeds and draws say of other ones: the mean of each ``[units]``, of every level."""
        return [means for scores, made_of in self._runs for means in unit_means(scores, made_of)]

    @property
    def _runs(self) -> list[tuple[NDArray[np.float64], Levels]]:
        """The differences of the runs where they are pairs, else each method's scores, and what they are made of."""
        one, two = self.first, self.second
        if self.paired_runs:
            return [(one.scores - two.scores, one.made_of)]
        return [(one.scores, one.made_of), (two.scores, two.made_of)]


def chance_p(pairs: Sequence[Pair]) -> float:
    """The two-sided p-value of the mean difference over targets, documents exchanged within each of them."""
    observed = float(np.mean([pair.difference for pair in pairs]))
    units = [means for pair in pairs for means in pair.units]
    chance, every = pairs[0].chance
    if len(pairs) > 1 or any(len(means) > 1 for means in units):
        count = max(len(pair.first.values) for pair in pairs)
        chance, every = mean_of_parts([_again(pair.chance[0], count) for pair in pairs]), False
    return share_as_large(observed, with_chance_of_runs(chance, units, share=1 / len(pairs)), every=every)


def mean_variations(parts: Sequence[Sequence[Variation]]) -> list[Variation]:
    """How much a mean over targets varies with the documents and runs of each."""
    return [Variation(one.variance / len(parts) ** 2, one.units) for own in parts for one in own]


def _again(chance: NDArray[np.float64], count: int) -> NDArray[np.float64]:
    if len(chance) == count:
        return chance
    return chance[np.random.default_rng(6).integers(0, len(chance), count)]
