"""BioC collections in XML or JSON: passages, annotations with one or several locations, relations."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from clinprompt.data.bioc import UNIT, document_of
from clinprompt.data.bioc_xml import record_of
from clinprompt.data.faults import Faults
from clinprompt.data.files import files_below, parse_json, read_text, read_xml
from clinprompt.data.offsets import checked_unit
from clinprompt.errors import InputError
from clinprompt.schema.concepts import PLACINGS
from clinprompt.schema.document import Document

SUFFIXES = (".xml", ".json")


def read(
    path: Path | None,
    *,
    unit: str = "",
    label: str = "type",
    concepts: str = "single",
    directed: bool = True,
) -> list[Document]:
    """The documents of a file, or of the files of a folder; files that end in ``.json`` are BioC JSON.

    A document's text is its passages at their offsets with blanks in the gaps. ``unit`` is what offsets
    count: ``codepoint``, ``utf16`` or ``byte``; without it what the file says of itself, else code points
    (the BioC paper counts bytes, almost all tools count code points). ``label`` names the infon that holds the
    label; the infon ``identifier`` is the attribute ``concept``, the others are attributes of their names, those of
    a document metadata, those of passages (titles, sections) stand in the metadata ``bioc passages`` with their
    places. Relations between concepts (infons ``entity1``, ``entity2``) are kept in the metadata as
    ``concept relations``, and those that ``concepts`` places (``single``, ``nearest``) become relations between
    mentions; without ``directed`` (BioRED) the first mention in the text is the head, as in the reader
    ``pubtator``. Other infons of relations, annotations without a place and relations that do not join two
    mentions are counted in the metadata.

    Raises one :class:`InputError` that lists all annotations whose words are not the text at their places.
    """
    if unit:
        checked_unit(unit)
    if concepts not in PLACINGS:
        raise InputError(f"the option concepts has the value {concepts!r}", allowed=", ".join(PLACINGS))
    faults, documents = Faults(), []
    for file in files_below(path, reader="bioc", suffixes=SUFFIXES):
        with faults.gathered():
            for place, (record, stated) in enumerate(_records(file), 1):
                with faults.gathered():
                    where = f"{file} document {place}"
                    said = unit or checked_unit(_stated(record) or stated or "codepoint")
                    documents.append(
                        document_of(record, unit=said, label=label, concepts=concepts, directed=directed, where=where)
                    )
    faults.raise_all()
    return documents


def _records(file: Path) -> Iterator[tuple[dict[str, Any], str]]:
    """Each document's record with the unit that its collection states."""
    if file.suffix.lower() != ".json":
        root = read_xml(file)
        if root.tag != "collection":
            raise InputError("the file is no BioC <collection>", where=str(file))
        stated = {child.get("key"): child.text or "" for child in root if child.tag == "infon"}.get(UNIT, "")
        for place, element in enumerate(root.iter("document"), 1):
            yield record_of(element, where=f"{file} document {place}"), stated
        return
    value = parse_json(read_text(file), where=str(file))
    collections = value if isinstance(value, list) else [value]
    for collection in collections:
        found = collection.get("documents", [collection]) if isinstance(collection, dict) else None
        if not isinstance(found, list) or not all(
            isinstance(record, dict) and "passages" in record for record in found
        ):
            raise InputError("the file is no BioC collection", where=str(file), allowed="documents with passages")
        for record in found:
            yield record, _stated(collection)


def _stated(record: Mapping[str, Any]) -> str:
    infons = record.get("infons")
    return str(infons.get(UNIT, "")) if isinstance(infons, dict) else ""
