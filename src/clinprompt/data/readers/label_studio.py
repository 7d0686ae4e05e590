"""Label Studio's JSON export: labelled regions of a text, relations, choices beside them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from clinprompt.data.faults import Faults
from clinprompt.data.files import files_below, parse_json, read_text
from clinprompt.data.label_studio import SOURCES, document_of
from clinprompt.data.offsets import checked_unit
from clinprompt.errors import InputError
from clinprompt.schema.document import Document


def read(
    path: Path | None,
    *,
    text: str = "text",
    id: str = "id",
    group: str = "group",
    unit: str = "codepoint",
    source: str = "annotations",
    annotator: str = "",
) -> list[Document]:
    """The annotated tasks of a JSON export (not JSON-MIN), or of the exports of a folder.

    ``text``, ``id`` and ``group`` name fields of a task's ``data``; without an ``id`` field the task's number
    is its name; other fields and ``meta`` are metadata. ``unit`` is what offsets count: code points since version
    1.4, ``utf16`` before. ``source`` is ``annotations`` or ``predictions``; of several, the first that is not
    cancelled is read, or the one of ``annotator`` (number or address), and the others are counted in the
    metadata, as are items that are no region, relation, choice, text or number. Relations labelled
    ``discontinuous`` join the regions of one span. A task without annotations is a document without spans.

    Raises one :class:`InputError` that lists all regions whose words are not the text at their offsets.
    """
    checked_unit(unit)
    if source not in SOURCES:
        raise InputError(f"the option source has the value {source!r}", allowed=", ".join(SOURCES))
    faults, documents = Faults(), []
    for file in files_below(path, reader="label_studio", suffixes=(".json",)):
        with faults.gathered():
            tasks = parse_json(read_text(file), where=str(file))
            if not isinstance(tasks, list):
                raise InputError("the file is no list of tasks", where=str(file), fix="export as JSON")
            for place, task in enumerate(tasks, 1):
                with faults.gathered():
                    where = f"{file} task {place}"
                    if not isinstance(task, dict) or not isinstance(task.get("data"), dict):
                        raise InputError("the task has no data", where=where, fix="export as JSON, not JSON-MIN")
                    note = task["data"].get(text)
                    if not isinstance(note, str):
                        raise InputError(f"the task's data has no text in {text!r}", where=where, fix="set: text")
                    name = str(task["data"].get(id, task.get("id", place)))
                    result, others = _result(task, source=source, annotator=annotator, where=where)
                    more = {key: value for key, value in task["data"].items() if key not in (text, id, group)}
                    metadata = _texts(more) | _texts(task.get("meta"))
                    if others:
                        metadata[f"label studio other {source}"] = str(others)
                    patient = str(task["data"].get(group) or "")
                    documents.append(
                        document_of(note, result, unit=unit, name=name, group=patient, metadata=metadata, where=where)
                    )
    faults.raise_all()
    return documents


def _result(task: Mapping[str, Any], *, source: str, annotator: str, where: str) -> tuple[list[Any], int]:
    """The items of the annotation that is read, and how many annotations are not."""
    # Before version 1.0 annotations were called completions.
    given = task.get(source) or (task.get("completions") if source == "annotations" else None) or []
    if not isinstance(given, list) or not all(isinstance(one, dict) for one in given):
        raise InputError(f"the task's {source} are no list of objects", where=where)
    kept = [one for one in given if not one.get("was_cancelled")]
    mine = [one for one in kept if annotator in _annotator(one)] if annotator else kept
    result = mine[0].get("result") if mine else []
    if not isinstance(result, list) or not all(isinstance(item, dict) for item in result):
        raise InputError("the result is no list of items", where=where)
    return result, len(given) - bool(mine)


def _annotator(annotation: Mapping[str, Any]) -> set[str]:
    who = annotation.get("completed_by")
    return {str(who.get("id")), str(who.get("email"))} if isinstance(who, dict) else {str(who)}


def _texts(meta: Any) -> dict[str, str]:
    if not isinstance(meta, dict):
        return {}
    return {
        key: value if isinstance(value, str) else json.dumps(value, ensure_ascii=False) for key, value in meta.items()
    }
