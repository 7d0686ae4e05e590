"""From examples and predictions to a score with its interval."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from clinprompt.errors import InputError
from clinprompt.metrics.intervals import bootstrap_interval
from clinprompt.metrics.metric import Counts, DocumentMetric, Metric
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
    for parts in _counted_together(metric, sorted(examples, key=lambda example: (example.group, example.id))):
        found = [(example, answers[example.id]) for example in parts]
        counts = metric.document_counts(found) if isinstance(metric, DocumentMetric) else metric.counts(*found[0])
        group = parts[0].group
        sums[group] = sums[group] + counts if group in sums else counts
    return np.stack(list(sums.values())), tuple(sums)


def _counted_together(metric: Metric, examples: Sequence[Example]) -> list[list[Example]]:
    """Each example alone, or for a metric of documents the examples of each document in text order."""
    if not isinstance(metric, DocumentMetric):
        return [[example] for example in examples]
    documents: dict[tuple[str, str], list[Example]] = {}
    for example in examples:
        documents.setdefault((example.group, example.document or example.id), []).append(example)
    return [sorted(parts, key=lambda example: example.offset) for parts in documents.values()]


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
