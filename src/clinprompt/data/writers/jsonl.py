"""JSON Lines of documents and of predictions; offsets in code points, nothing lost."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from clinprompt.data.atomic import whole_file
from clinprompt.data.records import document_record, prediction_record
from clinprompt.errors import InputError
from clinprompt.schema.document import Document
from clinprompt.schema.prediction import Prediction


def write(documents: Iterable[Document], path: Path, *, overwrite: bool = False) -> dict[str, int]:
    """Write one JSON object a line to the file ``path``; the loss report is empty.

    Raises :class:`InputError` when the file is there and ``overwrite`` is not set.
    """
    _write_lines((document_record(document) for document in documents), path, overwrite=overwrite)
    return {}


def write_predictions(predictions: Iterable[Prediction], path: Path, *, overwrite: bool = False) -> None:
    """Write one JSON object a line to the file ``path``.

    Raises :class:`InputError` when the file is there and ``overwrite`` is not set.
    """
    _write_lines((prediction_record(prediction) for prediction in predictions), path, overwrite=overwrite)


def write_answers(
    documents: Iterable[Document],
    answers: Iterable[Mapping[str, str | None]],
    path: Path,
    *,
    provenance: Mapping[str, Any],
    overwrite: bool = False,
) -> None:
    """Write documents with predicted spans, their answers by task name, and where all of it comes from.

    Raises :class:`InputError` when the file is there and ``overwrite`` is not set.
    """
    records = (
        document_record(document) | {"answers": dict(said), "provenance": dict(provenance)}
        for document, said in zip(documents, answers, strict=True)
    )
    _write_lines(records, path, overwrite=overwrite)


def _write_lines(records: Iterable[dict[str, Any]], path: Path, *, overwrite: bool) -> None:
    path = Path(path)
    if path.exists() and not overwrite:
        raise InputError("the file is there already", where=str(path), fix="choose another name or ask to overwrite")
    with whole_file(path) as part, part.open("w", encoding="utf-8", newline="") as stream:
        for record in records:
            stream.write(json.dumps(record, ensure_ascii=False) + "\n")
