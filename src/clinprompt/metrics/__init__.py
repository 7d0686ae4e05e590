"""Metrics by name; each row is a factory that takes the task's labels and gives a :class:`Metric`."""

from __future__ import annotations

from clinprompt.registry import Registry

METRICS = Registry(
    "metric",
    {
        "span-f1": "clinprompt.metrics.spans:span_f1",
        "span-f1-lenient": "clinprompt.metrics.spans:span_f1_lenient",
        "relation-f1": "clinprompt.metrics.relations:relation_f1",
        "relation-f1-lenient": "clinprompt.metrics.relations:relation_f1_lenient",
        "accuracy": "clinprompt.metrics.labels:accuracy",
        "macro-f1": "clinprompt.metrics.labels:macro_f1",
        "exact-match": "clinprompt.metrics.answers:exact_match",
        "token-f1": "clinprompt.metrics.answers:token_f1",
        "rouge-1": "clinprompt.metrics.summaries:rouge_1",
        "rouge-2": "clinprompt.metrics.summaries:rouge_2",
        "rouge-l": "clinprompt.metrics.summaries:rouge_l",
    },
)
