"""Codecs: gold answer to answer text and back, by name."""

from __future__ import annotations

from clinprompt.registry import Registry

CODECS = Registry(
    "codec",
    {
        "entities": "clinprompt.tasks.codecs.entities:ENTITIES",
        "relations": "clinprompt.tasks.codecs.relations:RELATIONS",
        "labels": "clinprompt.tasks.codecs.labels:LABELS",
        "choices": "clinprompt.tasks.codecs.choices:CHOICES",
        "quote": "clinprompt.tasks.codecs.quote:QUOTE",
        "free_text": "clinprompt.tasks.codecs.free_text:FREE_TEXT",
    },
)
