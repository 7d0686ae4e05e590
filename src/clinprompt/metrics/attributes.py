"""Attributes of entities, such as assertion, temporality or experiencer: end to end, and on found entities alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from clinprompt.metrics.metric import Counts, Metric, f1
from clinprompt.metrics.spans import Key
from clinprompt.schema.example import Answer, Example

Said = dict[Key, Mapping[str, str]]


def attribute_f1(labels: Sequence[str] = (), *, argument: str = "") -> Metric:
    """End to end: micro-F1 over (label, fragments, attribute, value); an attribute of a missed entity is missed.

    ``argument`` names the one attribute that is scored, as in ``attribute-f1:assertion``; without it all are.
    """
    return AttributeScore("attribute-f1", argument, "all")


def attribute_f1_matched(labels: Sequence[str] = (), *, argument: str = "") -> Metric:
    """Given the entity: micro-F1 over the attributes of entities found with the right label and fragments alone.

    ``argument`` names the one attribute that is scored, as in ``attribute-f1-matched:assertion``.
    """
    return AttributeScore("attribute-f1-matched", argument, "matched")


def attribute_accuracy(labels: Sequence[str] = (), *, argument: str = "") -> Metric:
    """Given the entity: the share of attributes with the right value, of those gold or predicted on found entities.

    ``argument`` names the one attribute that is scored, as in ``attribute-accuracy:assertion``.
    """
    return AttributeScore("attribute-accuracy", argument, "accuracy")


@dataclass(frozen=True, slots=True)
class AttributeScore:
    """``[right, predicted, gold, judged, gold on any entity]``; entities said twice count once.

    Where no entity was found the score given the entity is 0 if there was an attribute to find, else 100.
    """

    row: str
    attribute: str
    over: Literal["all", "matched", "accuracy"]

    @property
    def name(self) -> str:
        """The row of the metric table, with the attribute when one is named."""
        return f"{self.row}:{self.attribute}" if self.attribute else self.row

    def counts(self, gold: Example, predicted: Answer) -> Counts:
        """The five counts of one example; ``judged`` are attributes that are gold or predicted."""
        expected, given = self._said(gold.answer), self._said(predicted)
        everywhere = sum(map(len, expected.values()))
        if self.over != "all":
            found = set(expected) & set(given)
            expected, given = ({key: said[key] for key in found} for said in (expected, given))
        true, said = _triples(expected), _triples(given)
        judged = {triple[:2] for triple in true | said}
        return np.array([len(true & said), len(said), len(true), len(judged), everywhere], dtype=np.float64)

    def value(self, total: Counts) -> Counts:
        """F1 or accuracy in percent for sums ``[..., 5]``."""
        right, predicted, gold, judged, everywhere = (total[..., place] for place in range(5))
        if self.over == "accuracy":
            predicted = gold = judged
        nothing = np.where(everywhere > 0, 0.0, 100.0)
        return np.where(predicted + gold > 0, f1(right, predicted, gold, nothing=0.0), nothing)

    def _said(self, answer: Answer) -> Said:
        return {
            span.key: {
                name: value for name, value in span.attributes.items() if not self.attribute or name == self.attribute
            }
            for span in answer.spans
        }


def _triples(said: Said) -> set[tuple[Key, str, str]]:
    return {(key, name, value) for key, attributes in said.items() for name, value in attributes.items()}
