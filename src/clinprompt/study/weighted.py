"""A weighted sum of scores on the same documents, averaged over targets: its interval."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from clinprompt.metrics.intervals import Variation, mean_of_parts, of_documents, of_runs, stretched_interval
from clinprompt.study.pair import mean_variations
from clinprompt.study.replicates import Replicates


def weighted_interval(
    weights: Sequence[float],
    parts: Sequence[Sequence[Replicates]],
    *,
    centre: float,
    within: tuple[float, float],
) -> tuple[float, float]:
    """The 95 % interval of a weighted sum round its value ``centre``, in percent, never outside ``within``.

    ``parts`` has for each target the scores that the ``weights`` are of. Documents and runs are drawn within each
    target, the same ones for all its scores where they have the same runs.
    """
    return stretched_interval(
        mean_of_parts([np.tensordot(weights, [one.values for one in own], axes=1) for own in parts]),
        mean_variations([_variations(weights, own) for own in parts]),
        centre=centre,
        within=within,
    )


def _variations(weights: Sequence[float], own: Sequence[Replicates]) -> list[Variation]:
    """How much the sum on one target varies with the documents, and with runs: pairs, if all have the same."""
    fixed = np.tensordot(weights, [one.fixed for one in own], axes=1)
    documents = of_documents(fixed, documents=own[0].documents)
    if len({one.runs for one in own}) == 1:
        return [documents, *of_runs(np.tensordot(weights, [one.scores for one in own], axes=1), own[0].made_of)]
    apart = [of_runs(weight * one.scores, one.made_of) for weight, one in zip(weights, own, strict=True)]
    return [documents, *(variation for levels in apart for variation in levels)]
