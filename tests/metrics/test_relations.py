from __future__ import annotations

import pytest

from clinprompt.errors import InputError
from clinprompt.metrics.relations import lenient_counts, relation_f1, strict_counts
from clinprompt.schema.document import Relation
from clinprompt.schema.example import Answer

from .made import answer, gold

SPANS = (("Dose", 0, 5), ("Drug", 6, 10), ("Drug", 20, 25))
GOLD = answer(*SPANS, relations=[("of", 0, 1), ("of", 0, 2)])


def test_span_ids_and_order_do_not_matter():
    turned = answer(*SPANS[::-1], relations=[("of", 2, 0), ("of", 2, 1)])
    assert strict_counts(GOLD, turned) == (2, 2, 2)


@pytest.mark.parametrize(
    ("spans", "relation", "strict", "lenient"),
    [
        ((("Dose", 0, 5), ("Drug", 6, 10)), ("of", 0, 1), 1, 1),
        ((("Dose", 0, 4), ("Drug", 9, 12)), ("of", 0, 1), 0, 1),  # ends overlap
        ((("Dose", 0, 5), ("Drug", 10, 12)), ("of", 0, 1), 0, 0),  # the tail only touches
        ((("Dose", 0, 5), ("Brand", 6, 10)), ("of", 0, 1), 0, 0),  # the tail has another label
        ((("Dose", 0, 5), ("Drug", 6, 10)), ("with", 0, 1), 0, 0),
        ((("Dose", 0, 5), ("Drug", 6, 10)), ("of", 1, 0), 0, 0),  # turned round
    ],
)
def test_what_counts_as_a_hit(spans, relation, strict, lenient):
    said = answer(*spans, relations=[relation])
    assert strict_counts(GOLD, said) == (strict, 1, 2)
    assert lenient_counts(GOLD, said) == (lenient, 1, 2)


def test_lenient_pairs_are_one_to_one():
    said = answer(("Dose", 0, 5), ("Drug", 6, 9), ("Drug", 7, 10), relations=[("of", 0, 1), ("of", 0, 2)])
    assert lenient_counts(GOLD, said) == (1, 2, 2)


def test_value_by_hand():
    said = answer(*SPANS, relations=[("of", 0, 1)])
    metric = relation_f1()
    assert float(metric.value(metric.counts(gold(GOLD), said))) == pytest.approx(200 * 1 / (1 + 2))


def test_a_relation_without_its_span_is_refused():
    with pytest.raises(InputError, match="s9"):
        strict_counts(GOLD, Answer(relations=(Relation("of", "s9", "s9"),)))
