"""Class scores: accuracy and macro-F1; no answer is a wrong answer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from clinprompt.errors import InputError
from clinprompt.metrics.metric import Counts, Mean, Metric, mean_f1
from clinprompt.schema.example import Answer, Example


def accuracy(labels: Sequence[str] = ()) -> Metric:
    """The share of examples with the right class or option key."""
    return Mean("accuracy", _is_right)


def macro_f1(labels: Sequence[str] = ()) -> Metric:
    """The mean of the per-class F1; raises :class:`InputError` without classes."""
    if not labels:
        raise InputError("macro-f1 needs the task's labels", fix="use accuracy for multiple choice")
    return MacroF1(tuple(labels))


@dataclass(frozen=True, slots=True)
class MacroF1:
    """Mean over the task's classes of ``200 hits / (predicted + gold)``, from three counts per class.

    A class that is neither gold nor predicted anywhere has no F1 and is left out of the mean (scikit-learn's
    convention when it takes the classes from the data), in every bootstrap sample anew. An answer that is no
    class of the task counts as missing for its gold class and as predicted for none.
    """

    labels: tuple[str, ...]
    name: str = "macro-f1"

    def counts(self, gold: Example, predicted: Answer) -> Counts:
        """``[hits of each class, predicted of each class, gold of each class]``."""
        if gold.answer.label not in self.labels:
            raise InputError(
                f"the gold class {gold.answer.label!r} is not one of the task's",
                where=f"example {gold.id}",
                allowed=", ".join(self.labels),
            )
        truth = np.array([label == gold.answer.label for label in self.labels], dtype=np.float64)
        given = np.array([label == predicted.label for label in self.labels], dtype=np.float64)
        return np.concatenate([truth * given, given, truth])

    def value(self, total: Counts) -> Counts:
        """Macro-F1 in percent for sums ``[..., 3 classes]``."""
        return mean_f1(total, classes=len(self.labels))


def _is_right(gold: Example, predicted: Answer) -> float:
    if gold.answer.label is None:
        raise InputError("the example has no gold class", where=f"example {gold.id}")
    return float(predicted.label == gold.answer.label)
