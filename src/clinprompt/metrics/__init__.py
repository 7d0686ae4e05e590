"""Metrics by name; each row is a factory that takes the task's labels and gives a :class:`Metric`."""

from __future__ import annotations

from clinprompt.metrics.table import MetricTable

METRICS = MetricTable(
    {
        "span-f1": "clinprompt.metrics.spans:span_f1",
        "span-f1-lenient": "clinprompt.metrics.spans:span_f1_lenient",
        "span-f1-nested": "clinprompt.metrics.spans:span_f1_nested",
        "span-f1:n2c2-2018": "clinprompt.metrics.n2c2_2018:concepts",
        "span-f1:n2c2-2018-macro": "clinprompt.metrics.n2c2_2018:concepts_macro",
        "span-f1-lenient:n2c2-2018": "clinprompt.metrics.n2c2_2018:concepts_lenient",
        "span-f1-lenient:n2c2-2018-macro": "clinprompt.metrics.n2c2_2018:concepts_lenient_macro",
        "attribute-f1": "clinprompt.metrics.attributes:attribute_f1",
        "attribute-f1-matched": "clinprompt.metrics.attributes:attribute_f1_matched",
        "attribute-accuracy": "clinprompt.metrics.attributes:attribute_accuracy",
        "relation-f1": "clinprompt.metrics.relations:relation_f1",
        "relation-f1-lenient": "clinprompt.metrics.relations:relation_f1_lenient",
        "relation-f1:n2c2-2018": "clinprompt.metrics.n2c2_2018:relations",
        "relation-f1:n2c2-2018-macro": "clinprompt.metrics.n2c2_2018:relations_macro",
        "relation-f1-lenient:n2c2-2018": "clinprompt.metrics.n2c2_2018:relations_lenient",
        "relation-f1-lenient:n2c2-2018-macro": "clinprompt.metrics.n2c2_2018:relations_lenient_macro",
        "document-relation-f1": "clinprompt.metrics.document_relations:document_relation_f1",
        "document-relation-f1:undirected": "clinprompt.metrics.document_relations:document_relation_f1_undirected",
        "ddi-f1": "clinprompt.metrics.drug_interactions:ddi_f1",
        "ddi-f1:macro": "clinprompt.metrics.drug_interactions:ddi_macro_f1",
        "ddi-f1:detection": "clinprompt.metrics.drug_interactions:ddi_detection_f1",
        "sdoh-f1": "clinprompt.metrics.sdoh_events:sdoh_f1",
        "sdoh-f1:triggers": "clinprompt.metrics.sdoh_events:trigger_f1",
        "sdoh-f1:labelled": "clinprompt.metrics.sdoh_events:labelled_f1",
        "sdoh-f1:spans": "clinprompt.metrics.sdoh_events:span_only_f1",
        "accuracy": "clinprompt.metrics.labels:accuracy",
        "macro-f1": "clinprompt.metrics.labels:macro_f1",
        "exact-match": "clinprompt.metrics.answers:exact_match",
        "token-f1": "clinprompt.metrics.answers:token_f1",
        "rouge-1": "clinprompt.metrics.summaries:rouge_1",
        "rouge-2": "clinprompt.metrics.summaries:rouge_2",
        "rouge-l": "clinprompt.metrics.summaries:rouge_l",
        "rouge-lsum": "clinprompt.metrics.summaries:rouge_lsum",
        "bert-score": "clinprompt.metrics.bert_score:bert_score",
    },
    with_argument=("attribute-f1", "attribute-f1-matched", "attribute-accuracy", "bert-score"),
)
