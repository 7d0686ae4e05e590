"""The script of n2c2 2018 track 2 as it counts, for comparison with published figures.

What it does otherwise than the clean metrics ``span-f1`` and ``relation-f1``: a span runs from its first start to its
last end, whatever lies in its gaps; equal spans count one by one; every system item that fits a gold item which was
met before is taken out before counting, so that the order of the items matters and an item that fits several gold
items may be taken out although one of them is left; nothing gold and nothing predicted is 0.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from clinprompt.errors import InputError
from clinprompt.metrics.metric import Counts, Metric, Part, f1
from clinprompt.schema.document import Span
from clinprompt.schema.example import Answer, Example

OPTION = "n2c2-2018"

Concept = tuple[str, int, int]
"""Type, first start, last end."""
Link = tuple[str, Concept, Concept]


def concepts(labels: Sequence[str] = ()) -> Metric:
    """Concepts strict, micro-F1 as the script of n2c2 2018 track 2 counts: same type, first start and last end."""
    return TrackTwo(f"span-f1:{OPTION}", _concepts, _same)


def concepts_lenient(labels: Sequence[str] = ()) -> Metric:
    """Concepts lenient, micro-F1 as the script of n2c2 2018 track 2 counts: same type, ranges that overlap."""
    return TrackTwo(f"span-f1-lenient:{OPTION}", _concepts, _overlapping)


def concepts_macro(labels: Sequence[str] = ()) -> Metric:
    """Concepts strict, the script's "macro": the mean of the documents' F1, 0 for a document without any."""
    return TrackTwo(f"span-f1:{OPTION}-macro", _concepts, _same, macro=True)


def concepts_lenient_macro(labels: Sequence[str] = ()) -> Metric:
    """Concepts lenient, the script's "macro": the mean of the documents' F1, 0 for a document without any."""
    return TrackTwo(f"span-f1-lenient:{OPTION}-macro", _concepts, _overlapping, macro=True)


def relations(labels: Sequence[str] = ()) -> Metric:
    """Relations strict, micro-F1 as the script of n2c2 2018 track 2 counts: same type, both ends as concepts are."""
    return TrackTwo(f"relation-f1:{OPTION}", _links, _same)


def relations_lenient(labels: Sequence[str] = ()) -> Metric:
    """Relations lenient, micro-F1 as the script of n2c2 2018 track 2 counts: same type, both ends overlap."""
    return TrackTwo(f"relation-f1-lenient:{OPTION}", _links, _both_overlapping)


def relations_macro(labels: Sequence[str] = ()) -> Metric:
    """Relations strict, the script's "macro": the mean of the documents' F1, 0 for a document without any."""
    return TrackTwo(f"relation-f1:{OPTION}-macro", _links, _same, macro=True)


def relations_lenient_macro(labels: Sequence[str] = ()) -> Metric:
    """Relations lenient, the script's "macro": the mean of the documents' F1, 0 for a document without any."""
    return TrackTwo(f"relation-f1-lenient:{OPTION}-macro", _links, _both_overlapping, macro=True)


@dataclass(frozen=True, slots=True)
class TrackTwo:
    """``[hits, predicted items that were left, gold items]``, with ``macro`` the documents' ``[sum of F1, number]``."""

    name: str
    items: Callable[[Answer, int], list[Any]]
    fits: Callable[[Any, Any], bool]
    macro: bool = False

    def counts(self, gold: Example, predicted: Answer) -> Counts:
        """The counts of one example as if it were a document."""
        return self.document_counts([(gold, predicted)])

    def document_counts(self, parts: Sequence[Part]) -> Counts:
        """The counts of one document."""
        gold = [item for example, _ in parts for item in self.items(example.answer, example.offset)]
        given = [item for example, answer in parts for item in self.items(answer, example.offset)]
        found = np.array(_counted(gold, given, self.fits), dtype=np.float64)
        return np.array([f1(*found, nothing=0.0) / 100.0, 1.0]) if self.macro else found

    def value(self, total: Counts) -> Counts:
        """F1 in percent for sums ``[..., 3]``, or the mean over documents for sums ``[..., 2]``."""
        if self.macro:
            return 100.0 * total[..., 0] / total[..., 1]
        return f1(total[..., 0], total[..., 1], total[..., 2], nothing=0.0)


def _counted(gold: list[Any], given: list[Any], fits: Callable[[Any, Any], bool]) -> tuple[int, int, int]:
    met: set[int] = set()
    left = dict.fromkeys(range(len(given)))
    for number, said in enumerate(given):
        for place, true in enumerate(gold):
            if fits(true, said):
                if place in met:
                    left.pop(number, None)
                met.add(place)
    hits = sum(any(fits(true, given[number]) for true in gold) for number in left)
    return hits, len(left), len(gold)


def _concept(span: Span, offset: int) -> Concept:
    return span.label, span.start + offset, span.end + offset


def _concepts(answer: Answer, offset: int) -> list[Concept]:
    return [_concept(span, offset) for span in answer.spans]


def _links(answer: Answer, offset: int) -> list[Link]:
    ends = {span.id: _concept(span, offset) for span in answer.spans}
    try:
        return [(link.label, ends[link.head], ends[link.tail]) for link in answer.relations]
    except KeyError as missing:
        raise InputError(f"a relation names the span {missing.args[0]!r}, which its answer does not have") from None


def _same(one: Any, other: Any) -> bool:
    return bool(one == other)


def _overlapping(one: Concept, other: Concept) -> bool:
    return one[0] == other[0] and one[1] < other[2] and other[1] < one[2]


def _both_overlapping(one: Link, other: Link) -> bool:
    return one[0] == other[0] and _overlapping(one[1], other[1]) and _overlapping(one[2], other[2])
