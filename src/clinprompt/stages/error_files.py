"""The mistakes of a scored cell as files: counts by label, and every one by document and characters; never any text."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

from clinprompt.evaluation.csv_text import csv_text
from clinprompt.evaluation.errors_table import ErrorItem, ErrorLine, errors_of
from clinprompt.schema.example import Example
from clinprompt.schema.prediction import Prediction
from clinprompt.stages.atomic import write_text
from clinprompt.tasks.task import Task

ERRORS, ERROR_ITEMS = "errors.csv", "error-items.csv"


def write_errors(folder: Path, task: Task, examples: Sequence[Example], predictions: Sequence[Prediction]) -> None:
    """Write ``errors.csv`` (a line per label) and ``error-items.csv`` (ids and offsets); nothing for free text."""
    errors, items = errors_of(task, examples, predictions)
    if task.codec != "free_text":
        write_text(folder / ERRORS, csv_text(errors, kind=ErrorLine))
        write_text(folder / ERROR_ITEMS, csv_text(items, kind=ErrorItem))


def read_errors(folder: Path) -> list[ErrorLine]:
    """The lines of a cell's ``errors.csv``; none where it was not written."""
    return [
        ErrorLine(row.pop("label"), **{name: int(count) for name, count in row.items()})
        for row in _rows(folder / ERRORS)
    ]


def read_error_items(folder: Path) -> list[ErrorItem]:
    """The mistakes of a cell's ``error-items.csv``; none where it was not written."""
    return [ErrorItem(**row) for row in _rows(folder / ERROR_ITEMS)]


def _rows(file: Path) -> list[dict[str, str]]:
    if not file.is_file():
        return []
    with file.open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))
