"""Short ways to write examples and answers for metric tests."""

from __future__ import annotations

from clinprompt.schema.document import Relation, Span
from clinprompt.schema.example import Answer, Example
from clinprompt.schema.prediction import Prediction


def spans(*rows) -> tuple[Span, ...]:
    """Rows ``(label, start, end, start, end, …)`` as spans ``s0``, ``s1``, …"""
    return tuple(
        Span(label, tuple(zip(places[::2], places[1::2], strict=True)), f"s{i}")
        for i, (label, *places) in enumerate(rows)
    )


def answer(*rows, relations=()) -> Answer:
    """Spans as in :func:`spans`, relations as ``(label, head, tail)`` with span numbers."""
    links = tuple(Relation(label, f"s{head}", f"s{tail}") for label, head, tail in relations)
    return Answer(spans=spans(*rows), relations=links)


def gold(given: Answer, *, id: str = "x", group: str = "g") -> Example:
    return Example(id=id, inputs={"note": "n" * 100}, answer=given, group=group)


def predicted(given: Answer, *, id: str = "x") -> Prediction:
    return Prediction(example=id, answer=given)
