"""The table of writers: format name to ``write(documents, path, *, overwrite=False) -> loss report``."""

from __future__ import annotations

from clinprompt.registry import Registry

WRITERS = Registry(
    "writer",
    {
        "brat": "clinprompt.data.writers.brat:write",
        "jsonl": "clinprompt.data.writers.jsonl:write",
    },
)
