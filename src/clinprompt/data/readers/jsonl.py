"""JSON Lines: our own documents and predictions, and records of any shape by naming their fields."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Unpack

from clinprompt.data.faults import Faults
from clinprompt.data.fields import FieldNames, Fields, example_of, items_of
from clinprompt.data.files import decoded, files_below, numbered_bytes, parse_json
from clinprompt.data.naming import note_name
from clinprompt.data.records import document_of, prediction_of
from clinprompt.data.stream import Stream
from clinprompt.errors import InputError
from clinprompt.schema.document import Document
from clinprompt.schema.example import Example
from clinprompt.schema.prediction import Prediction

SUFFIXES = (".jsonl", ".ndjson", ".json")


def read(path: Path | None, **named: Unpack[FieldNames]) -> list[Document] | list[Example]:
    """Documents with spans, or examples when options name the fields, first of all the field of the ``note``.

    A document is ``{"id", "text", "spans": [{"start", "end", "label"}, …], "relations": […]}``; see
    :mod:`clinprompt.data.records` for all keys. For the options of examples see
    :class:`clinprompt.data.fields.Fields`; with ``note`` alone (and ``id``, ``group``) records are notes without
    spans. Records with the same note are one group unless ``group`` names another. Sets of this form: MedQA
    (``question``, ``options``, ``answer_idx``), MedNLI and RadNLI (``sentence1``, ``sentence2``,
    ``gold_label``), NeMo (``input``, ``output``).

    Raises one :class:`InputError` that lists all lines that cannot be read.
    """
    return list(stream(path, **named))  # type: ignore[return-value]


def stream(path: Path | None, **named: Unpack[FieldNames]) -> Stream[Document] | Stream[Example]:
    """What :func:`read` reads, one record after the other."""
    if named:
        fields = Fields(**named)
        return items_of(Stream(lambda: _examples(path, fields)), fields)
    return Stream(lambda: _documents(path))


def read_predictions(path: Path) -> list[Prediction]:
    """The predictions that :func:`clinprompt.data.writers.jsonl.write_predictions` wrote."""
    faults, predictions = Faults(), []
    for _, record, where in _records(path, faults):
        with faults.gathered():
            predictions.append(prediction_of(record, where=where))
    faults.raise_all()
    return predictions


def _documents(path: Path | None) -> Iterator[Document]:
    faults = Faults(one_by_one=True)
    for _, record, where in _records(path, faults):
        with faults.gathered():
            yield document_of(record, where=where)
    faults.raise_all()


def _examples(path: Path | None, fields: Fields) -> Iterator[Example]:
    faults = Faults(one_by_one=True)
    for fallback, record, where in _records(path, faults):
        with faults.gathered():
            yield example_of(record, fields, fallback_id=fallback, where=where)
    faults.raise_all()


def _records(path: Path | None, faults: Faults) -> Iterator[tuple[str, dict[str, Any], str]]:
    """(name by place, record, where) of every line that is a JSON object; the others become faults."""
    for file in files_below(path, reader="jsonl", suffixes=SUFFIXES):
        name = note_name(file, Path(path))  # type: ignore[arg-type]
        for number, begins, line in numbered_bytes(file):
            with faults.gathered():
                if not line.strip():
                    continue
                where = f"{file} line {number}"
                record = parse_json(decoded(line, begins=begins, where=where), where=where)
                if not isinstance(record, dict):
                    raise InputError("the line is no JSON object", where=where, allowed="one object in braces a line")
                yield f"{name}-{number}", record, where
