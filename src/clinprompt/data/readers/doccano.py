"""doccano exports (JSON Lines or JSON): labelled stretches of a text, with or without relations."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from clinprompt.data.faults import Faults
from clinprompt.data.files import files_below, numbered_lines, parse_json, read_text
from clinprompt.data.naming import note_name
from clinprompt.data.offsets import Offsets, checked_unit
from clinprompt.errors import InputError
from clinprompt.schema.document import Document, Relation, Span, check_spans

SUFFIXES = (".jsonl", ".ndjson", ".json")
_TEXTS, _LABELS = ("text", "data"), ("label", "labels")


def read(path: Path | None, *, unit: str = "codepoint", id: str = "id", group: str = "") -> list[Document]:
    """One :class:`Document` per record of a file or of the files of a folder.

    A record has a ``text`` (``data`` in old exports) and either ``label`` (or ``labels``), a list of ``[start,
    end, label]``, or ``entities`` with ``start_offset``, ``end_offset`` and ``label``, and ``relations`` with
    ``from_id``, ``to_id`` and ``type``. ``unit`` is what offsets count: ``codepoint``, or ``utf16`` as in
    exports made by a browser. ``id`` and ``group`` name the fields with the document's id (without it the name
    of the file and the line) and its patient. All other fields are metadata, as JSON where they are no text.

    Files of several annotators, as doccano exports them, repeat the ids: read them one by one. Raises one
    :class:`InputError` that lists all records that cannot be read.
    """
    checked_unit(unit)
    faults, documents = Faults(), []
    for file in files_below(path, reader="doccano", suffixes=SUFFIXES):
        name = note_name(file, Path(path))  # type: ignore[arg-type]
        with faults.gathered():
            for number, record, where in _records(file):
                with faults.gathered():
                    documents.append(
                        _document(record, unit=unit, id=id, group=group, fallback=f"{name}-{number}", where=where)
                    )
    names = [document.id for document in documents]
    with faults.gathered():
        if len(set(names)) != len(names):
            raise InputError(
                "two records have the same id", where=str(path), fix="read one annotator's file, or set id: ''"
            )
    faults.raise_all()
    return documents


def _records(file: Path) -> Iterator[tuple[int, Any, str]]:
    if read_text(file).lstrip("\ufeff \t\r\n").startswith("["):
        for number, record in enumerate(parse_json(read_text(file), where=str(file)), 1):
            yield number, record, f"{file} record {number}"
        return
    for number, line in numbered_lines(file):
        if line.strip():
            yield number, parse_json(line, where=f"{file} line {number}"), f"{file} line {number}"


def _document(record: Any, *, unit: str, id: str, group: str, fallback: str, where: str) -> Document:
    if not isinstance(record, dict):
        raise InputError("the record is no JSON object", where=where)
    text_key = next((key for key in _TEXTS if isinstance(record.get(key), str)), "")
    if not text_key:
        raise InputError("the record has no text", where=where, allowed=" or ".join(_TEXTS))
    text = record[text_key]
    spans = _spans(record, Offsets(text, unit), where=where)
    check_spans(spans, length=len(text), where=where)
    for field in (id, group):
        if field not in record and field not in ("", "id"):
            raise InputError(f"the record has no field {field!r}", where=where)
    used = {text_key, id, group, *_LABELS, "entities", "relations"}
    # doccano writes the imported fields beside the text, or together under "meta" in old exports.
    metadata = {
        key: value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        for key, value in record.items()
        if key not in used and value not in (None, [], {})
    }
    return Document(
        id=str(record[id]) if id in record else fallback,
        text=text,
        spans=spans,
        relations=_relations(record, where=where),
        group=str(record[group]) if group else "",
        metadata=metadata,
    )


def _spans(record: Mapping[str, Any], offsets: Offsets, *, where: str) -> tuple[Span, ...]:
    rows: list[tuple[Any, Any, Any, str]]
    if "entities" in record:
        entities = _listed(record, "entities", where=where)
        rows = [
            (entity.get("start_offset"), entity.get("end_offset"), entity.get("label"), str(entity.get("id", "")))
            for entity in entities
        ]
    else:
        key = next((key for key in _LABELS if key in record), "")
        triples = record.get(key) or []
        if not isinstance(triples, list) or not all(isinstance(row, list) and len(row) == 3 for row in triples):
            raise InputError(
                "the labels are not stretches of the text", where=where, allowed="a list of [start, end, label]"
            )
        rows = [(start, end, label, f"T{place}") for place, (start, end, label) in enumerate(triples, 1)]
    spans = []
    for place, (start, end, label, name) in enumerate(rows, 1):
        if type(start) is not int or type(end) is not int or not isinstance(label, str) or not label:
            raise InputError(f"label {place} has no start, end or name", where=where)
        try:
            fragment = (offsets.codepoint(start), offsets.codepoint(end))
        except InputError as fault:
            raise InputError(fault.what, where=where, allowed=fault.allowed, fix=fault.fix) from None
        spans.append(Span(label=label, fragments=(fragment,), id=name))
    if len({span.id for span in spans}) != len(spans):
        raise InputError("two entities have the same id, or one has none", where=where)
    return tuple(spans)


def _relations(record: Mapping[str, Any], *, where: str) -> tuple[Relation, ...]:
    found = []
    for place, relation in enumerate(_listed(record, "relations", where=where), 1):
        ends = [relation.get(key) for key in ("from_id", "to_id")]
        label = relation.get("type", relation.get("label"))
        if None in ends or not isinstance(label, str) or not label:
            raise InputError(f"relation {place} has no from_id, to_id or type", where=where)
        found.append(Relation(label=label, head=str(ends[0]), tail=str(ends[1]), id=f"R{place}"))
    return tuple(found)


def _listed(record: Mapping[str, Any], key: str, *, where: str) -> list[Mapping[str, Any]]:
    value = record.get(key) or []
    if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
        raise InputError(f"the field {key!r} is no list of objects", where=where)
    return value
