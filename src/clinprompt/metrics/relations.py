"""Relation scores, end to end: micro-F1 over relations whose ends were found too."""

from __future__ import annotations

from collections.abc import Sequence

from clinprompt.errors import InputError
from clinprompt.metrics.matching import matched
from clinprompt.metrics.metric import Metric, MicroF1
from clinprompt.metrics.spans import Key, same_label_and_overlap
from clinprompt.schema.example import Answer

Link = tuple[str, Key, Key]


def relation_f1(labels: Sequence[str] = ()) -> Metric:
    """Strict: a hit has the same label and, at head and tail, the same entity label and fragments."""
    return MicroF1("relation-f1", strict_counts)


def relation_f1_lenient(labels: Sequence[str] = ()) -> Metric:
    """Lenient: as strict, but each end need only share a character; relations are paired one to one."""
    return MicroF1("relation-f1-lenient", lenient_counts)


def strict_counts(gold: Answer, predicted: Answer) -> tuple[int, int, int]:
    """Hits, predicted relations, gold relations."""
    expected, given = _links(gold), _links(predicted)
    return len(expected & given), len(given), len(expected)


def lenient_counts(gold: Answer, predicted: Answer) -> tuple[int, int, int]:
    """Pairs of relations of one label that overlap at both ends, predicted relations, gold relations."""
    expected, given = _links(gold), _links(predicted)
    return matched(sorted(expected), sorted(given), _overlapping), len(given), len(expected)


def _overlapping(one: Link, other: Link) -> bool:
    ends = zip(one[1:], other[1:], strict=True)
    return one[0] == other[0] and all(same_label_and_overlap(end, again) for end, again in ends)


def _links(answer: Answer) -> set[Link]:
    keys = {span.id: span.key for span in answer.spans}
    try:
        return {(link.label, keys[link.head], keys[link.tail]) for link in answer.relations}
    except KeyError as missing:
        raise InputError(f"a relation names the span {missing.args[0]!r}, which its answer does not have") from None
