"""SciNLI: entailment, reasoning, contrasting or neutral between two sentences of papers (JSONL, CSV or
TSV).
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from clinprompt.data.faults import Faults
from clinprompt.data.fields import Fields, example_of, with_distinct_ids
from clinprompt.data.files import files_below, numbered_lines, parse_json
from clinprompt.data.tables import rows_of
from clinprompt.errors import InputError
from clinprompt.schema.example import Example

LABELS = ("entailment", "reasoning", "contrasting", "neutral")
FIELDS = Fields(note="sentence1", hypothesis="sentence2", label="label", id="id")


def read(path: Path | None) -> list[Example]:
    """Every pair of a file, or of all files of a folder: first sentence as ``note``, second as
    ``hypothesis``.

    Raises one :class:`InputError` that lists all rows that cannot be read or have another label.
    """
    faults, examples = Faults(), []
    for file in files_below(path, reader="scinli", suffixes=(".jsonl", ".csv", ".tsv")):
        with faults.gathered():
            for number, row in _rows(file):
                with faults.gathered():
                    examples.append(_example(row, number, file))
    faults.raise_all()
    return with_distinct_ids(examples)


def _rows(file: Path) -> Iterator[tuple[int, Any]]:
    return numbered_lines(file) if file.suffix == ".jsonl" else rows_of(file)


def _example(row: Any, number: int, file: Path) -> Example:
    where = f"{file} line {number}"
    record = parse_json(row, where=where) if isinstance(row, str) else row
    if not isinstance(record, dict):
        raise InputError("the line is no JSON object", where=where)
    example = example_of(record, FIELDS, fallback_id=str(number), where=where)
    if example.answer.label not in LABELS:
        raise InputError("the label is none of the four", where=where, allowed=", ".join(LABELS))
    return example
