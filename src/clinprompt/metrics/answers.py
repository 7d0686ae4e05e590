"""Scores of short written answers as SQuAD defines them (Rajpurkar et al., arXiv 1606.05250 and 1806.03822)."""

from __future__ import annotations

import re
import string
from collections import Counter
from collections.abc import Sequence

from clinprompt.errors import InputError
from clinprompt.metrics.metric import Mean, Metric
from clinprompt.schema.example import Answer, Example

_ARTICLES = re.compile(r"\b(a|an|the)\b")
_NO_PUNCTUATION = str.maketrans("", "", string.punctuation)


def exact_match(labels: Sequence[str] = ()) -> Metric:
    """SQuAD's EM: the share of answers equal to a gold answer after normalisation."""
    return Mean("exact-match", _exact)


def token_f1(labels: Sequence[str] = ()) -> Metric:
    """SQuAD's F1: the mean F1 of answer tokens after normalisation, with the gold answer that fits best.

    Two answers without tokens agree.
    """
    return Mean("token-f1", _token_f1)


def normalised(text: str) -> str:
    """Lower case, no ASCII punctuation, no English articles, single blanks.

    >>> normalised("The  X-ray.")
    'xray'
    """
    return " ".join(_ARTICLES.sub(" ", text.lower().translate(_NO_PUNCTUATION)).split())


def gold_text(gold: Example) -> str:
    """The gold answer's text; raises :class:`InputError` when there is none."""
    if gold.answer.text is None:
        raise InputError("the example has no gold text", where=f"example {gold.id}")
    return gold.answer.text


def gold_texts(gold: Example) -> tuple[str, ...]:
    """All gold answers: the text, then the words of the spans, which the reader of SQuAD makes of other annotators'."""
    return tuple(dict.fromkeys((gold_text(gold), *(span.surface(gold.note) for span in gold.answer.spans))))


def _exact(gold: Example, predicted: Answer) -> float:
    expected = {normalised(text) for text in gold_texts(gold)}
    return float(predicted.text is not None and normalised(predicted.text) in expected)


def _token_f1(gold: Example, predicted: Answer) -> float:
    texts = gold_texts(gold)
    if predicted.text is None:
        return 0.0
    given = normalised(predicted.text).split()
    return max(_overlap(normalised(text).split(), given) for text in texts)


def _overlap(expected: list[str], given: list[str]) -> float:
    if not expected or not given:
        return float(expected == given)
    common = (Counter(expected) & Counter(given)).total()
    return 2 * common / (len(expected) + len(given))
