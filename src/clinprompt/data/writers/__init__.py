"""The table of writers: format name to ``write(documents, path, *, overwrite=False, provenance=None, …)``.

A writer returns what its format cannot hold, counted. Those with a parameter ``answers`` can also hold classes,
option keys and texts; the other parameters are options of the format.
"""

from __future__ import annotations

from clinprompt.registry import Registry

WRITERS = Registry(
    "writer",
    {
        "bioc": "clinprompt.data.writers.bioc:write",
        "brat": "clinprompt.data.writers.brat:write",
        "conll": "clinprompt.data.writers.conll:write",
        "fhir": "clinprompt.data.writers.fhir:write",
        "html": "clinprompt.data.writers.html:write",
        "jsonl": "clinprompt.data.writers.jsonl:write",
        "label_studio": "clinprompt.data.writers.label_studio:write",
        "note_nlp": "clinprompt.data.writers.note_nlp:write",
        "table": "clinprompt.data.writers.table:write",
    },
)

FOLDERS = frozenset({"brat"})
"""Writers that fill a folder; the others make one file."""
