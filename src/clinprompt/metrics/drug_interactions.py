"""Interactions between drugs as SemEval-2013 task 9.2 (DDI corpus) scores them: pairs without direction.

The shared task gave the drugs; here the ends of a pair are the places of two mentions, whatever their types, so that
the same scores serve given drugs and drugs that are found as well.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from clinprompt.errors import InputError
from clinprompt.metrics.metric import Counts, Metric, MicroF1, mean_f1
from clinprompt.schema.document import Fragment
from clinprompt.schema.example import Answer, Example

TYPES = ("mechanism", "effect", "advise", "int")

Pair = frozenset[tuple[Fragment, ...]]


def ddi_f1(labels: Sequence[str] = ()) -> Metric:
    """Micro-F1 over pairs of drugs with their type of interaction; pairs without interaction count nowhere."""
    return MicroF1("ddi-f1", _typed_counts)


def ddi_detection_f1(labels: Sequence[str] = ()) -> Metric:
    """F1 over pairs of drugs that interact, whatever the type."""
    return MicroF1("ddi-f1:detection", _detection_counts)


def ddi_macro_f1(labels: Sequence[str] = ()) -> Metric:
    """Mean over the four types of interaction of the F1 over pairs; types that never occur are left out."""
    return TypedMacroF1("ddi-f1:macro")


@dataclass(frozen=True, slots=True)
class TypedMacroF1:
    """``[hits of each type, predicted of each type, gold of each type]``."""

    name: str

    def counts(self, gold: Example, predicted: Answer) -> Counts:
        """The twelve counts of one example; raises :class:`InputError` for a gold type outside :data:`TYPES`."""
        expected, given = _typed(gold.answer), _typed(predicted)
        strange = {label for label, _ in expected} - set(TYPES)
        if strange:
            raise InputError(
                f"the gold interaction {min(strange)!r} is none of the DDI corpus",
                where=f"example {gold.id}",
                allowed=", ".join(TYPES),
            )
        parts = (expected & given, given, expected)
        return np.array([sum(label == kind for label, _ in part) for part in parts for kind in TYPES], dtype=np.float64)

    def value(self, total: Counts) -> Counts:
        """Macro-F1 in percent for sums ``[..., 12]``."""
        return mean_f1(total, classes=len(TYPES))


def _typed_counts(gold: Answer, predicted: Answer) -> tuple[int, int, int]:
    expected, given = _typed(gold), _typed(predicted)
    return len(expected & given), len(given), len(expected)


def _detection_counts(gold: Answer, predicted: Answer) -> tuple[int, int, int]:
    expected, given = ({pair for _, pair in _typed(answer)} for answer in (gold, predicted))
    return len(expected & given), len(given), len(expected)


def _typed(answer: Answer) -> set[tuple[str, Pair]]:
    places = {span.id: span.fragments for span in answer.spans}
    return {(link.label, frozenset((places[link.head], places[link.tail]))) for link in answer.relations}
