"""BioC collections in XML or JSON: one passage per document, offsets in a unit that the file states."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from clinprompt.data.atomic import new_file
from clinprompt.data.bioc import UNIT, record_of
from clinprompt.data.bioc_xml import CLOSING, document_lines, opening
from clinprompt.data.faults import Faults
from clinprompt.data.offsets import checked_unit
from clinprompt.errors import InputError
from clinprompt.schema.document import Document

PROVENANCE = "clinprompt.provenance"


def write(
    documents: Iterable[Document],
    path: Path,
    *,
    overwrite: bool = False,
    provenance: Mapping[str, Any] | None = None,
    unit: str = "codepoint",
) -> dict[str, int]:
    """Write a ``.json`` or ``.xml`` file and return what the format cannot hold, counted.

    ``unit`` is what offsets and lengths count (``codepoint``, ``utf16``, ``byte``); it stands in the infons of
    the collection and of each document. The attribute
    ``concept`` is written as the infon ``identifier``; attributes named ``type`` or ``identifier`` are lost.

    Raises :class:`InputError` for another ending, a file that is there already, and characters that XML does
    not have (JSON holds them).
    """
    path, lost, faults = Path(path), Counter[str](), Faults()
    if path.suffix.lower() not in (".json", ".xml"):
        raise InputError("the name does not say which form of BioC to write", where=str(path), allowed=".json, .xml")
    as_json = path.suffix.lower() == ".json"
    infons = {UNIT: checked_unit(unit)}
    if provenance is not None:
        infons[PROVENANCE] = json.dumps(provenance, ensure_ascii=False)
    with (
        new_file(path, overwrite=overwrite) as part,
        part.open("w", encoding="utf-8", newline="") as stream,
    ):
        stream.write(_json_opening(infons) if as_json else opening(infons, source="clinprompt", date=""))
        for place, document in enumerate(documents):
            with faults.gathered():
                record = record_of(document, unit=unit, lost=lost)
                if as_json:
                    stream.write((",\n" if place else "\n") + json.dumps(record, ensure_ascii=False))
                else:
                    stream.write(document_lines(record))
        faults.raise_all()
        stream.write("\n]}\n" if as_json else CLOSING)
    return {kind: count for kind, count in sorted(lost.items()) if count}


def _json_opening(infons: Mapping[str, str]) -> str:
    head = {"source": "clinprompt", "date": "", "key": "", "version": "1.0", "infons": infons}
    return json.dumps(head, ensure_ascii=False)[:-1] + ', "documents": ['
