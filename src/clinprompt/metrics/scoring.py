"""From examples and predictions to a score with its interval."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from clinprompt.errors import InputError
from clinprompt.metrics.intervals import bootstrap_interval
from clinprompt.metrics.metric import Counts, Metric
from clinprompt.schema.example import Answer, Example
from clinprompt.schema.prediction import Prediction
from clinprompt.schema.scores import Score


def score(
    metric: Metric,
    examples: Sequence[Example],
    predictions: Sequence[Prediction],
    *,
    resamples: int = 10_000,
    seed: int = 0,
) -> Score:
    """The metric over all examples, with a 95 % interval from a bootstrap over their groups.

    Predictions are found by example id; the order of neither list matters. Raises :class:`InputError` when
    there is no example, an id stands twice, or an example has no prediction or a prediction no example.
    """
    counts, _ = group_counts(metric, examples, predictions)
    low, high = bootstrap_interval(counts, metric.value, resamples=resamples, seed=seed)
    value = float(metric.value(counts.sum(axis=0)))
    return Score(metric=metric.name, value=value, low=low, high=high, n=len(examples), groups=len(counts))


def group_counts(
    metric: Metric, examples: Sequence[Example], predictions: Sequence[Prediction]
) -> tuple[NDArray[np.float64], tuple[str, ...]]:
    """Summed counts per group ``[groups, C]`` and the groups' names, both in the order of the names."""
    answers = _by_example(examples, predictions)
    sums: dict[str, Counts] = {}
    # Sorted, so that floating-point sums do not depend on the order of the lists either.
    for example in sorted(examples, key=lambda example: (example.group, example.id)):
        counts = metric.counts(example, answers[example.id])
        sums[example.group] = sums[example.group] + counts if example.group in sums else counts
    return np.stack(list(sums.values())), tuple(sums)


def _by_example(examples: Sequence[Example], predictions: Sequence[Prediction]) -> dict[str, Answer]:
    """Answers by example id, exactly one for each example."""
    answers = {prediction.example: prediction.answer for prediction in predictions}
    ids = {example.id for example in examples}
    if not ids:
        raise InputError("there are no examples to score")
    if len(ids) < len(examples) or len(answers) < len(predictions):
        raise InputError("an example id stands twice among the examples or the predictions")
    missing, surplus = sorted(ids - set(answers)), sorted(set(answers) - ids)
    if missing or surplus:
        what = (
            f"{len(missing)} examples have no prediction" if missing else f"{len(surplus)} predictions have no example"
        )
        raise InputError(what, where=f"such as {(missing or surplus)[0]}")
    return answers
