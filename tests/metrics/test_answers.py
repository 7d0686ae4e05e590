from __future__ import annotations

import pytest

from clinprompt.errors import InputError
from clinprompt.metrics.answers import exact_match, normalised, token_f1
from clinprompt.schema.example import Answer

from .made import gold


def value(metric, truth, said):
    return float(metric.value(metric.counts(gold(Answer(text=truth)), Answer(text=said))))


@pytest.mark.parametrize(
    ("truth", "said", "exact", "f1"),
    [
        ("The left arm.", "left arm", 100, 100),
        ("left arm", "the right arm", 0, 50),
        ("beta beta blocker", "beta", 0, 200 * 1 / 4),  # tokens are counted as often as both have them
        ("80 mg daily", "mg 80 twice a day", 0, 200 * 2 / 7),
        ("aspirin", "", 0, 0),
        ("aspirin", None, 0, 0),
        ("the", "a", 100, 100),
    ],
)
def test_by_hand(truth, said, exact, f1):
    assert value(exact_match(), truth, said) == pytest.approx(exact)
    assert value(token_f1(), truth, said) == pytest.approx(f1)


def test_normalisation_follows_squad():
    assert normalised("An X-ray, of THE\n chest!") == "xray of chest"


@pytest.mark.parametrize("metric", [exact_match(), token_f1()])
def test_gold_without_text_is_refused(metric):
    with pytest.raises(InputError, match="no gold text"):
        value(metric, None, "aspirin")
