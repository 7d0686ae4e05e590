"""JSON Lines of documents and of predictions; offsets in code points, nothing lost."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from clinprompt.data.answered import Answers, answered
from clinprompt.data.atomic import new_file
from clinprompt.data.records import document_record, prediction_record
from clinprompt.schema.document import Document
from clinprompt.schema.prediction import Prediction


def write(
    documents: Iterable[Document],
    path: Path,
    *,
    overwrite: bool = False,
    provenance: Mapping[str, Any] | None = None,
    answers: Iterable[Answers] | None = None,
) -> dict[str, int]:
    """Write one JSON object a line to the file ``path``; the loss report is empty.

    ``answers`` (by task name) and ``provenance`` stand beside each document's own fields; the reader ``jsonl``
    gives them back as metadata.

    Raises :class:`InputError` when the file is there and ``overwrite`` is not set.
    """
    more = {} if provenance is None else {"provenance": dict(provenance)}
    records = (
        document_record(document) | ({} if answers is None else {"answers": dict(said)}) | more
        for document, said in answered(documents, answers)
    )
    _write_lines(records, path, overwrite=overwrite)
    return {}


def write_predictions(predictions: Iterable[Prediction], path: Path, *, overwrite: bool = False) -> None:
    """Write one JSON object a line to the file ``path``.

    Raises :class:`InputError` when the file is there and ``overwrite`` is not set.
    """
    _write_lines((prediction_record(prediction) for prediction in predictions), path, overwrite=overwrite)


def _write_lines(records: Iterable[dict[str, Any]], path: Path, *, overwrite: bool) -> None:
    with new_file(path, overwrite=overwrite) as part, part.open("w", encoding="utf-8", newline="") as stream:
        for record in records:
            stream.write(json.dumps(record, ensure_ascii=False) + "\n")
