from __future__ import annotations

import pytest

from clinprompt.errors import InputError
from clinprompt.metrics import METRICS
from clinprompt.metrics.sdoh_events import item_counts
from clinprompt.schema.document import Relation, Span
from clinprompt.schema.example import Answer

from .made import answer, gold


def told(*rows, links=()) -> Answer:
    """Rows ``(label, start, end)`` or ``(label, start, end, subtype)``; links from trigger to argument by number."""
    spans = tuple(
        Span(label, ((start, end),), f"s{i}", {f"{label}Val": subtype[0]} if subtype else {})
        for i, (label, start, end, *subtype) in enumerate(rows)
    )
    return Answer(spans=spans, relations=tuple(Relation("role", f"s{one}", f"s{other}") for one, other in links))


GOLD = told(
    ("Tobacco", 0, 5), ("StatusTime", 6, 12, "past"), ("Amount", 13, 20), ("Alcohol", 30, 37), ("StatusTime", 38, 44, "none"),
    links=[(0, 1), (0, 2), (3, 4)],
)  # fmt: skip
SAID = told(
    ("Tobacco", 2, 5),  # overlaps: aligned
    ("StatusTime", 6, 9, "past"),  # another range of the same subtype: right
    ("Amount", 13, 19),  # another range of a span-only argument: wrong
    ("Alcohol", 30, 37),
    ("StatusTime", 38, 44, "current"),  # another subtype: wrong
    ("Drug", 50, 54),  # an event too many, without arguments
    links=[(0, 1), (0, 2), (3, 4)],
)


def test_by_hand():
    assert item_counts(GOLD, SAID) == {"trigger": (2, 3, 2), "labelled": (1, 2, 2), "span": (0, 1, 1)}
    metric = METRICS["sdoh-f1"]()
    assert float(metric.value(metric.counts(gold(GOLD), SAID))) == pytest.approx(200 * 3 / (6 + 5))
    for name, expected in (("triggers", 200 * 2 / 5), ("labelled", 200 * 1 / 4), ("spans", 0)):
        part = METRICS[f"sdoh-f1:{name}"]()
        assert float(part.value(part.counts(gold(GOLD), SAID))) == pytest.approx(expected)


def test_arguments_count_within_aligned_events_only():
    said = told(("Drug", 0, 5), ("StatusTime", 6, 12, "past"), links=[(0, 1)])
    assert item_counts(GOLD, said) == {"trigger": (0, 1, 2), "labelled": (0, 1, 2), "span": (0, 0, 1)}


def test_an_argument_said_twice_is_right_once():
    said = told(
        ("Tobacco", 0, 5), ("StatusTime", 6, 9, "past"), ("StatusTime", 7, 12, "past"), links=[(0, 1), (0, 2)]
    )  # fmt: skip
    assert item_counts(GOLD, said)["labelled"] == (1, 2, 2)


def test_alignment_takes_the_first_that_fits_as_the_scorer_does():
    right = answer(("Alcohol", 0, 10), ("Alcohol", 11, 20))
    said = answer(("Alcohol", 3, 12), ("Alcohol", 4, 6))  # the first overlaps both, the second the first gold one
    assert item_counts(right, said)["trigger"] == (1, 2, 2)  # the best pairing would find two


def test_an_argument_without_its_span_is_refused():
    with pytest.raises(InputError, match="does not have"):
        item_counts(Answer(relations=(Relation("Status", "s8", "s9"),)), answer())
