"""Bootstrap resamples of every score of a study, kept so that scores can be averaged and subtracted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from clinprompt.errors import InputError
from clinprompt.metrics import METRICS
from clinprompt.metrics.intervals import mean_of_runs, run_values
from clinprompt.study.table import Cell, by_place
from clinprompt.tasks.task import Task

Place = tuple[str, str, str]
"""Method, target and shots of a line."""


@dataclass(frozen=True, slots=True, eq=False)
class Replicates:
    """One line's score in every resample ``[N]``, in percent: of its documents, then of its runs.

    ``values`` and ``others`` share the documents and differ in the runs drawn. ``documents`` is how many there are.
    """

    runs: tuple[tuple[int, int], ...]
    documents: int
    values: NDArray[np.float64]
    others: NDArray[np.float64]

    def minus(self, reference: Replicates) -> NDArray[np.float64]:
        """The differences ``[N]`` on the same documents, run by run where both have the same seeds and draws.

        Raises :class:`InputError` when the two were scored on different numbers of documents.
        """
        if self.documents != reference.documents:
            raise InputError(
                f"scores of {self.documents} and of {reference.documents} documents cannot be subtracted",
                fix="score both methods on the same documents",
            )
        return self.values - (reference.values if self.runs == reference.runs else reference.others)


def replicates(cells: Sequence[Cell], tasks: Mapping[str, Task], *, resamples: int = 10_000) -> dict[Place, Replicates]:
    """The resamples behind each line of the table, by method, target and shots."""
    return {
        (method, target, str(shots)): _replicates(own, tasks[target], resamples=resamples)
        for (method, target, shots), own in by_place(cells).items()
    }


def _replicates(cells: Sequence[Cell], task: Task, *, resamples: int) -> Replicates:
    name = task.metrics[0]
    counts = np.stack([cell.counts(name) for cell in cells])  # [S, G, C]
    by_run = run_values(counts, METRICS[name](task.labels).value, resamples=resamples)
    return Replicates(
        runs=tuple(cell.run for cell in cells),
        documents=counts.shape[1],
        values=mean_of_runs(by_run),
        others=mean_of_runs(by_run, stream=2),
    )
