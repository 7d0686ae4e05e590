"""What a program without a model scores: the floor every table is read against."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

from clinprompt.schema.document import Span
from clinprompt.schema.example import Answer, Example
from clinprompt.schema.prediction import Prediction
from clinprompt.tasks.task import Task

LEAD_WORDS = 25


def trivial_name(task: Task) -> str:
    """What the trivial baseline of a task does, in words."""
    return {
        "entities": "dictionary of the training mentions",
        "relations": "no relation",
        "labels": "most frequent training class",
        "choices": "most frequent training key",
        "free_text": f"first {LEAD_WORDS} words of the input",
        "quote": f"first {LEAD_WORDS} words of the input",
    }[task.codec]


def trivial_predictions(task: Task, train: Sequence[Example], test: Sequence[Example]) -> list[Prediction]:
    """Predictions of the trivial baseline; it sees the training examples and the test inputs only."""
    if task.codec == "entities":
        return _dictionary(train, test)
    if task.codec in ("free_text", "quote"):
        return [Prediction(example.id, Answer(text=" ".join(example.note.split()[:LEAD_WORDS]))) for example in test]
    if task.codec == "relations":
        return [Prediction(example.id, Answer()) for example in test]
    most = Counter(example.answer.label for example in train).most_common(1)[0][0]
    return [Prediction(example.id, Answer(label=most)) for example in test]


def _dictionary(train: Sequence[Example], test: Sequence[Example]) -> list[Prediction]:
    """Every occurrence at word borders of a mention seen in training, longest first, with its commonest label."""
    seen: dict[str, Counter[str]] = {}
    for example in train:
        for span in example.answer.spans:
            if len(span.fragments) == 1:
                seen.setdefault(span.surface(example.note), Counter())[span.label] += 1
    terms = sorted(seen, key=len, reverse=True)
    if not terms:
        return [Prediction(example.id, Answer()) for example in test]
    pattern = re.compile(r"(?<!\w)(?:" + "|".join(map(re.escape, terms)) + r")(?!\w)")
    predictions = []
    for example in test:
        spans = tuple(
            Span(label=seen[match.group()].most_common(1)[0][0], fragments=(match.span(),), id=f"e{i}")
            for i, match in enumerate(pattern.finditer(example.note), start=1)
        )
        predictions.append(Prediction(example.id, Answer(spans=spans)))
    return predictions
