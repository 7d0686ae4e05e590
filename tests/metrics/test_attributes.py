from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import accuracy_score

from clinprompt.metrics import METRICS
from clinprompt.schema.document import Span
from clinprompt.schema.example import Answer

from .made import gold


def told(*rows) -> Answer:
    """Rows ``(label, start, end, attributes)``."""
    return Answer(
        spans=tuple(Span(label, ((start, end),), f"s{i}", given) for i, (label, start, end, given) in enumerate(rows))
    )


GOLD = told(
    ("problem", 0, 5, {"assertion": "absent", "time": "past"}),
    ("problem", 6, 9, {"assertion": "present"}),
    ("problem", 10, 14, {"assertion": "possible"}),
)
SAID = told(
    ("problem", 0, 5, {"assertion": "absent"}),  # right, the time is missing
    ("problem", 6, 9, {"assertion": "absent", "time": "past"}),  # wrong, and a time too many
    ("problem", 10, 13, {"assertion": "possible"}),  # another border: an entity that is not found
)


def value(name, right=GOLD, said=SAID):
    metric = METRICS[name]()
    assert metric.name == name
    return float(metric.value(metric.counts(gold(right), said)))


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("attribute-f1", 200 * 1 / (4 + 4)),
        ("attribute-f1:assertion", 200 * 1 / (3 + 3)),
        ("attribute-f1-matched:assertion", 200 * 1 / (2 + 2)),
        ("attribute-accuracy:assertion", 100 * 1 / 2),
        ("attribute-f1-matched", 200 * 1 / (3 + 3)),
        ("attribute-accuracy", 100 * 1 / 4),  # judged: two assertions, a time that is missing, one too many
        ("attribute-f1:time", 0),
        ("attribute-f1:experiencer", 100),  # nowhere gold, nowhere predicted
    ],
)
def test_by_hand(name, expected):
    assert value(name) == pytest.approx(expected)


def test_without_a_found_entity_nothing_is_right():
    said = told(("problem", 0, 4, {"assertion": "absent"}))
    for name in ("attribute-f1-matched", "attribute-accuracy", "attribute-f1"):
        assert value(name, said=said) == 0
        assert value(name, right=told(("problem", 0, 5, {})), said=told()) == 100  # no attribute to find


@pytest.mark.parametrize("seed", range(3))
def test_given_entities_agree_with_scikit_learn(seed):
    rng = np.random.default_rng(seed)
    truth, given = rng.choice(["present", "absent", "possible"], (2, 30)).tolist()
    right, said = (
        told(*(("problem", 10 * i, 10 * i + 4, {"assertion": word}) for i, word in enumerate(words)))
        for words in (truth, given)
    )
    for name in ("attribute-accuracy:assertion", "attribute-f1-matched:assertion", "attribute-f1:assertion"):
        assert value(name, right, said) == pytest.approx(100 * accuracy_score(truth, given))
