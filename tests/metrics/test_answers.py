from __future__ import annotations

import re
import string
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clinprompt.errors import InputError
from clinprompt.metrics.answers import exact_match, normalised, token_f1
from clinprompt.schema.document import Span
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


def squad(prediction: str, golds: list[str]) -> tuple[float, float]:
    """EM and F1 written out from the definition: lower, strip punctuation, articles, blanks; the best gold answer."""

    def tokens(text: str) -> list[str]:
        text = "".join(letter for letter in text.lower() if letter not in string.punctuation)
        return re.sub(r"\b(a|an|the)\b", " ", text).split()

    def f1(gold: str) -> float:
        said, true = tokens(prediction), tokens(gold)
        if not said or not true:
            return float(said == true)
        same = sum(min(said.count(word), true.count(word)) for word in set(said))
        if same == 0:
            return 0.0
        precision, recall = same / len(said), same / len(true)
        return 2 * precision * recall / (precision + recall)

    return max(float(tokens(prediction) == tokens(gold)) for gold in golds), max(f1(gold) for gold in golds)


NOTE = "The left upper lobe, a nodule of 2.5 cm; an old scar in the left lung. The end!"


def several(*places: tuple[int, int]):
    """A question with several gold answers as the reader of SQuAD gives them: spans, the first as text too."""
    spans = tuple(Span("answer", (place,), f"A{number}") for number, place in enumerate(places))
    return replace(gold(Answer(spans=spans, text=spans[0].surface(NOTE))), inputs={"note": NOTE})


@given(
    st.lists(
        st.tuples(st.integers(0, len(NOTE) - 1), st.integers(1, 25)).map(lambda at: (at[0], min(len(NOTE), sum(at)))),
        min_size=1,
        max_size=3,
    ),
    st.one_of(st.sampled_from(["left lung", "the", "", "2.5 cm", "A nodule!"]), st.text("aehtn .,", max_size=12)),
)
def test_several_gold_answers_score_as_squad_defines_it(places, said):
    question = several(*places)
    em, f1 = squad(said, [NOTE[start:end] for start, end in places])
    for metric, expected in ((exact_match(), em), (token_f1(), f1)):
        assert float(metric.value(metric.counts(question, Answer(text=said)))) == pytest.approx(100 * expected)


def test_any_annotator_may_be_right():
    start = NOTE.index("left lung")
    question = several((4, 19), (start, start + 9))
    metric = exact_match()
    assert [float(metric.counts(question, Answer(text=words))[0]) for words in ("left lung", "left")] == [1.0, 0.0]
