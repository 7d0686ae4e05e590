"""Bootstrap resamples of every score of a study, kept so that scores can be averaged and subtracted."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from clinprompt.metrics import METRICS
from clinprompt.metrics.intervals import Variation, mean_of_runs, of_documents, of_runs, run_values
from clinprompt.metrics.runs import Levels, levels
from clinprompt.study.table import Cell, by_place
from clinprompt.tasks.task import Task

Place = tuple[str, str, str]
"""Method, target and shots of a line."""


@dataclass(frozen=True, slots=True, eq=False)
class Replicates:
    """One line's score in every resample ``[N]``, in percent: of its documents, then of its runs.

    ``values`` and ``others`` share the documents and differ in the runs drawn; ``fixed`` has every run once. Beside
    them the counts ``[runs, documents, C]`` that they are of, and the metric's ``value`` of sums.
    """

    runs: tuple[tuple[int, int], ...]
    counts: NDArray[np.float64]
    value: Callable[[NDArray[np.float64]], NDArray[np.float64]]
    values: NDArray[np.float64]
    others: NDArray[np.float64]
    fixed: NDArray[np.float64]

    @property
    def documents(self) -> int:
        """How many documents were scored."""
        return self.counts.shape[1]

    @property
    def scores(self) -> NDArray[np.float64]:
        """The score of each run ``[runs]``."""
        return np.asarray(self.value(self.counts.sum(axis=1)))

    @property
    def made_of(self) -> Levels:
        """What the runs share."""
        return levels(self.runs)

    @property
    def variations(self) -> tuple[Variation, ...]:
        """How much the score varies with its documents and with its seeds and draws."""
        return of_documents(self.fixed, documents=self.documents), *of_runs(self.scores, self.made_of)


def replicates(cells: Sequence[Cell], tasks: Mapping[str, Task], *, resamples: int = 10_000) -> dict[Place, Replicates]:
    """The resamples behind each line of the table, by method, target and shots."""
    found = {}
    for (method, target, shots), own in by_place(cells).items():
        task = tasks[target]
        name = task.metrics[0]
        counts = np.stack([cell.counts(name) for cell in own])  # [S, G, C]
        runs = tuple(cell.run for cell in own)
        found[method, target, str(shots)] = resampled(
            runs, counts, METRICS[name](task.labels).value, resamples=resamples
        )
    return found


def resampled(
    runs: tuple[tuple[int, int], ...],
    counts: NDArray[np.float64],
    value: Callable[[NDArray[np.float64]], NDArray[np.float64]],
    *,
    resamples: int = 10_000,
) -> Replicates:
    """The resamples of one line from the counts ``[runs, documents, C]`` of its runs (seed and draw)."""
    by_run = run_values(counts, value, resamples=resamples)
    made_of = levels(runs)
    values, others = (mean_of_runs(by_run, made_of, stream=stream) for stream in (1, 2))
    return Replicates(runs, counts, value, values, others, by_run.mean(axis=1))
