from __future__ import annotations

import pytest
from rouge_score.rouge_scorer import RougeScorer

from clinprompt.metrics.summaries import rouge_1, rouge_2, rouge_l, rouge_lsum
from clinprompt.schema.example import Answer

from .made import gold

PAIRS = [
    ("The patient denies chest pain.", "Patient denied pains in the chest."),
    ("Is aspirin safe with warfarin?", "Can I take aspirin while taking warfarin?"),
    ("None.", ""),
    ("one\ntwo three", "one two\nthree"),
]


def value(metric, pairs):
    return float(metric.value(sum(metric.counts(gold(Answer(text=truth)), Answer(text=said)) for truth, said in pairs)))


@pytest.mark.parametrize(
    ("metric", "variant"),
    [(rouge_1(), "rouge1"), (rouge_2(), "rouge2"), (rouge_l(), "rougeL"), (rouge_lsum(), "rougeLsum")],
)
def test_the_mean_is_that_of_rouge_score_itself(metric, variant):
    oracle = RougeScorer([variant], use_stemmer=True)
    expected = sum(oracle.score(truth, said)[variant].fmeasure for truth, said in PAIRS) / len(PAIRS)
    assert value(metric, PAIRS) == pytest.approx(100 * expected)


def test_lsum_takes_lines_as_sentences():
    # Line by line every word of the gold text is covered; as one sequence only two of the three are in order.
    assert value(rouge_lsum(), [("c\na b", "a b\nc")]) == pytest.approx(100)
    assert value(rouge_l(), [("c\na b", "a b\nc")]) == pytest.approx(100 * 2 / 3)


def test_rouge_1_by_hand_with_stems():
    # Stems: {the, patient, deni, chest, pain} against {patient, deni, pain, in, the, chest}: 5 in common of 5 and 6
    assert value(rouge_1(), PAIRS[:1]) == pytest.approx(200 * 5 / 11)


def test_no_text_scores_nothing():
    assert value(rouge_l(), [("aspirin", None)]) == 0.0
