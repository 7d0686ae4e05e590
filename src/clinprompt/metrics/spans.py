"""Entity scores: micro-F1 over spans, strict and lenient."""

from __future__ import annotations

from collections.abc import Sequence

from clinprompt.metrics.matching import matched, overlap
from clinprompt.metrics.metric import Metric, MicroF1
from clinprompt.schema.document import Fragment
from clinprompt.schema.example import Answer

Key = tuple[str, tuple[Fragment, ...]]


def span_f1(labels: Sequence[str] = ()) -> Metric:
    """Strict: a hit has the same label and exactly the same fragments; a span said twice counts once."""
    return MicroF1("span-f1", strict_counts)


def span_f1_lenient(labels: Sequence[str] = ()) -> Metric:
    """Lenient: a hit has the same label and shares a character; gold and predicted are paired one to one."""
    return MicroF1("span-f1-lenient", lenient_counts)


def span_f1_nested(labels: Sequence[str] = ()) -> Metric:
    """Strict, of nested and overlapping spans alone: those that share a character with another of the same answer."""
    return MicroF1("span-f1-nested", nested_counts)


def strict_counts(gold: Answer, predicted: Answer) -> tuple[int, int, int]:
    """Hits, predicted spans, gold spans."""
    expected, given = _keys(gold), _keys(predicted)
    return len(expected & given), len(given), len(expected)


def lenient_counts(gold: Answer, predicted: Answer) -> tuple[int, int, int]:
    """Pairs of overlapping spans of one label, predicted spans, gold spans."""
    expected, given = _keys(gold), _keys(predicted)
    return matched(sorted(expected), sorted(given), same_label_and_overlap), len(given), len(expected)


def nested_counts(gold: Answer, predicted: Answer) -> tuple[int, int, int]:
    """As :func:`strict_counts`, of the spans of each side that share a character with another span of that side.

    Who finds one of two spans that lie in each other has found nothing here: that one is nested on the gold side only.
    """
    expected, given = _nested(_keys(gold)), _nested(_keys(predicted))
    return len(expected & given), len(given), len(expected)


def same_label_and_overlap(one: Key, other: Key) -> bool:
    """Whether two spans have the same label and share a character."""
    return one[0] == other[0] and overlap(one[1], other[1])


def _keys(answer: Answer) -> set[Key]:
    return {span.key for span in answer.spans}


def _nested(keys: set[Key]) -> set[Key]:
    return {one for one in keys if any(one is not other and overlap(one[1], other[1]) for other in keys)}
