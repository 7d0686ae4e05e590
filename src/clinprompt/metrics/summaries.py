"""Summary scores: ROUGE-1, ROUGE-2, ROUGE-L and ROUGE-Lsum, F measure with Porter stemmer (rouge-score)."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

from clinprompt.metrics.answers import gold_text
from clinprompt.metrics.metric import Mean, Metric
from clinprompt.schema.example import Answer, Example


def rouge_1(labels: Sequence[str] = ()) -> Metric:
    """Mean F measure over single words."""
    return _rouge("rouge-1", "rouge1")


def rouge_2(labels: Sequence[str] = ()) -> Metric:
    """Mean F measure over pairs of words."""
    return _rouge("rouge-2", "rouge2")


def rouge_l(labels: Sequence[str] = ()) -> Metric:
    """Mean F measure over the longest common subsequence of the whole texts (not sentence by sentence)."""
    return _rouge("rouge-l", "rougeL")


def rouge_lsum(labels: Sequence[str] = ()) -> Metric:
    """Mean F measure over the union of longest common subsequences sentence by sentence; each line is a sentence."""
    return _rouge("rouge-lsum", "rougeLsum")


def _rouge(name: str, variant: str) -> Metric:
    def score(gold: Example, predicted: Answer) -> float:
        measures = _scorer(variant).score(gold_text(gold), predicted.text or "")
        return float(measures[variant].fmeasure)

    return Mean(name, score)


@cache
def _scorer(variant: str) -> Any:
    # Imported late: rouge-score brings nltk, which most commands never need.
    from rouge_score.rouge_scorer import RougeScorer

    return RougeScorer([variant], use_stemmer=True)
