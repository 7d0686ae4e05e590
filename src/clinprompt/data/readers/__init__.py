"""The table of readers: format or corpus name to ``read(path, **options) -> list[Document] |
list[Example]``.
"""

from __future__ import annotations

from clinprompt.registry import Registry

READERS = Registry(
    "reader",
    {
        "aci_bench": "clinprompt.data.readers.aci_bench:read",
        "bioasq": "clinprompt.data.readers.bioasq:read",
        "bioc": "clinprompt.data.readers.bioc:read",
        "brat": "clinprompt.data.readers.brat:read",
        "conll": "clinprompt.data.readers.conll:read",
        "csv_table": "clinprompt.data.readers.csv_table:read",
        "ddi": "clinprompt.data.readers.ddi:read",
        "doccano": "clinprompt.data.readers.doccano:read",
        "evidence_inference": "clinprompt.data.readers.evidence_inference:read",
        "headqa": "clinprompt.data.readers.headqa:read",
        "hub": "clinprompt.data.readers.hub:read",
        "i2b2_2009": "clinprompt.data.readers.i2b2_2009:read",
        "i2b2_2010": "clinprompt.data.readers.i2b2_2010:read",
        "i2b2_2012": "clinprompt.data.readers.i2b2_2012:read",
        "jsonl": "clinprompt.data.readers.jsonl:read",
        "label_studio": "clinprompt.data.readers.label_studio:read",
        "mediqa_rqe": "clinprompt.data.readers.mediqa_rqe:read",
        "medmcqa": "clinprompt.data.readers.medmcqa:read",
        "medquad": "clinprompt.data.readers.medquad:read",
        "meqsum": "clinprompt.data.readers.meqsum:read",
        "mts_dialog": "clinprompt.data.readers.mts_dialog:read",
        "neurotrialner": "clinprompt.data.readers.neurotrialner:read",
        "plain": "clinprompt.data.readers.plain:read",
        "pubmedqa": "clinprompt.data.readers.pubmedqa:read",
        "pubtator": "clinprompt.data.readers.pubtator:read",
        "radgraph": "clinprompt.data.readers.radgraph:read",
        "scinli": "clinprompt.data.readers.scinli:read",
        "sections": "clinprompt.data.readers.sections:read",
        "share": "clinprompt.data.readers.share:read",
        "squad": "clinprompt.data.readers.squad:read",
        "synthetic": "clinprompt.data.readers.synthetic:read",
        "text_pairs": "clinprompt.data.readers.text_pairs:read",
        "xmi": "clinprompt.data.readers.xmi:read",
    },
)

STREAMS = Registry(
    "reader",
    {
        "brat": "clinprompt.data.readers.brat:stream",
        "csv_table": "clinprompt.data.readers.csv_table:stream",
        "jsonl": "clinprompt.data.readers.jsonl:stream",
        "plain": "clinprompt.data.readers.plain:stream",
    },
)
"""Readers of records one by one: with the same arguments what ``read`` gives, as a
:class:`clinprompt.data.stream.Stream`, whose end raises what ``read`` raises.
"""
