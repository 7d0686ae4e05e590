"""Worked by hand after the script of n2c2 2018 track 2 (``[hits, predicted items that are left, gold items]``)."""

from __future__ import annotations

import pytest

from clinprompt.errors import InputError
from clinprompt.metrics import METRICS
from clinprompt.metrics.scoring import score
from clinprompt.schema.document import Relation
from clinprompt.schema.example import Answer

from .made import answer, gold, predicted

STRICT, LENIENT = METRICS["span-f1:n2c2-2018"](), METRICS["span-f1-lenient:n2c2-2018"]()
RELATIONS, RELATIONS_LENIENT = METRICS["relation-f1:n2c2-2018"](), METRICS["relation-f1-lenient:n2c2-2018"]()


def counts(metric, right, said):
    return metric.counts(gold(right), said).tolist()


def clean(metric, right, said):
    return METRICS[metric.name.partition(":")[0]]().counts(gold(right), said).tolist()


@pytest.mark.parametrize(
    ("right", "said", "script", "clean_counts"),
    [
        # Only first start and last end count, so that a joined gap is right.
        ([("Drug", 0, 4, 10, 14)], [("Drug", 0, 14)], [1, 1, 1], [0, 1, 1]),
        # A gold span given twice counts twice and is found once.
        ([("Drug", 0, 5), ("Drug", 0, 5)], [("Drug", 0, 5)], [1, 1, 2], [1, 1, 1]),
        # Of two equal predictions the second meets a gold span that was met before, and is taken out.
        ([("Drug", 0, 5)], [("Drug", 0, 5), ("Drug", 0, 5)], [1, 1, 1], [1, 1, 1]),
        ([("Drug", 0, 5)], [("Dose", 0, 5)], [0, 1, 1], [0, 1, 1]),
        ([("Drug", 0, 5)], [("Drug", 0, 4)], [0, 1, 1], [0, 1, 1]),
    ],
)
def test_concepts_strict(right, said, script, clean_counts):
    assert counts(STRICT, answer(*right), answer(*said)) == script
    assert clean(STRICT, answer(*right), answer(*said)) == clean_counts


@pytest.mark.parametrize(
    ("right", "said", "script", "clean_counts"),
    [
        ([("A", 0, 5)], [("A", 4, 9)], [1, 1, 1], [1, 1, 1]),
        ([("A", 0, 5)], [("A", 5, 9)], [0, 1, 1], [0, 1, 1]),
        # One prediction over two gold spans: one hit, one missed.
        ([("A", 0, 5), ("A", 6, 9)], [("A", 0, 9)], [1, 1, 2], [1, 1, 2]),
        # The second prediction meets the first gold span again and is taken out, although the second is free.
        ([("A", 0, 5), ("A", 6, 10)], [("A", 0, 3), ("A", 4, 8)], [1, 1, 2], [2, 2, 2]),
        # The same predictions in two orders: the middle one taken out, or the middle and the last one.
        ([("A", 0, 5), ("A", 6, 10)], [("A", 7, 9), ("A", 0, 3), ("A", 4, 8)], [2, 2, 2], [2, 3, 2]),
        ([("A", 0, 5), ("A", 6, 10)], [("A", 0, 3), ("A", 4, 8), ("A", 7, 9)], [1, 1, 2], [2, 3, 2]),
        # The inside of a gap overlaps.
        ([("A", 0, 2, 8, 9)], [("A", 4, 6)], [1, 1, 1], [0, 1, 1]),
    ],
)
def test_concepts_lenient(right, said, script, clean_counts):
    assert counts(LENIENT, answer(*right), answer(*said)) == script
    assert clean(LENIENT, answer(*right), answer(*said)) == clean_counts


@pytest.mark.parametrize(
    ("spans", "link", "strict", "lenient"),
    [
        ([("Dose", 0, 5), ("Drug", 6, 10)], ("of", 0, 1), 1, 1),
        ([("Dose", 1, 5), ("Drug", 6, 10)], ("of", 0, 1), 0, 1),
        ([("Form", 0, 5), ("Drug", 6, 10)], ("of", 0, 1), 0, 0),  # the types of the ends count
        ([("Dose", 0, 5), ("Drug", 6, 10)], ("of", 1, 0), 0, 0),
        ([("Dose", 0, 5), ("Drug", 6, 10)], ("with", 0, 1), 0, 0),
    ],
)
def test_relations(spans, link, strict, lenient):
    right = answer(("Dose", 0, 5), ("Drug", 6, 10), relations=[("of", 0, 1)])
    said = answer(*spans, relations=[link])
    assert counts(RELATIONS, right, said) == [strict, 1, 1]
    assert counts(RELATIONS_LENIENT, right, said) == [lenient, 1, 1]


def test_macro_is_over_documents_not_types_and_an_empty_document_scores_nothing():
    examples = [
        gold(answer(("A", 0, 5)), id="1", group="p"),
        gold(answer(("A", 0, 5), ("B", 6, 9)), id="2", group="q"),
        gold(answer(), id="3", group="r"),
    ]
    predictions = [
        predicted(answer(("A", 0, 5)), id="1"),
        predicted(answer(("A", 0, 5)), id="2"),
        predicted(answer(), id="3"),
    ]
    micro = score(STRICT, examples, predictions, resamples=10)
    macro = score(METRICS["span-f1:n2c2-2018-macro"](), examples, predictions, resamples=10)
    assert micro.value == pytest.approx(200 * 2 / (2 + 3))
    assert macro.value == pytest.approx((100 + 200 / 3 + 0) / 3)


def test_macro_counts_the_windows_of_a_document_as_one():
    from dataclasses import replace

    examples = [
        replace(gold(answer(("A", 0, 5)), id="d@0"), document="d"),
        replace(gold(answer(("A", 0, 5)), id="d@50"), document="d", offset=50),
    ]
    predictions = [predicted(answer(("A", 0, 5)), id="d@0"), predicted(answer(), id="d@50")]
    macro = score(METRICS["span-f1:n2c2-2018-macro"](), examples, predictions, resamples=10)
    assert macro.value == pytest.approx(200 * 1 / (1 + 2))  # not the mean of 100 and 0


def test_nothing_at_all_is_0():
    assert float(STRICT.value(STRICT.counts(gold(answer()), answer()))) == 0.0


def test_a_relation_without_its_span_is_refused():
    with pytest.raises(InputError, match="s9"):
        counts(RELATIONS, Answer(relations=(Relation("of", "s9", "s9"),)), answer())
