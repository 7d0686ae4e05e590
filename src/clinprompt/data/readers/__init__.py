"""The table of readers: format or corpus name to ``read(path, **options) -> list[Document] |
list[Example]``.
"""

from __future__ import annotations

from clinprompt.registry import Registry

READERS = Registry(
    "reader",
    {
        "brat": "clinprompt.data.readers.brat:read",
        "conll": "clinprompt.data.readers.conll:read",
        "csv_table": "clinprompt.data.readers.csv_table:read",
        "ddi": "clinprompt.data.readers.ddi:read",
        "headqa": "clinprompt.data.readers.headqa:read",
        "jsonl": "clinprompt.data.readers.jsonl:read",
        "medmcqa": "clinprompt.data.readers.medmcqa:read",
        "mediqa_rqe": "clinprompt.data.readers.mediqa_rqe:read",
        "meqsum": "clinprompt.data.readers.meqsum:read",
        "mts_dialog": "clinprompt.data.readers.mts_dialog:read",
        "plain": "clinprompt.data.readers.plain:read",
        "pubmedqa": "clinprompt.data.readers.pubmedqa:read",
        "scinli": "clinprompt.data.readers.scinli:read",
        "synthetic": "clinprompt.data.readers.synthetic:read",
    },
)
