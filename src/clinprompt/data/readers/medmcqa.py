"""MedMCQA: multiple-choice questions of Indian medical entrance examinations, JSON Lines with a 1-based
key.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from clinprompt.data.cut import cut_rows
from clinprompt.data.faults import Faults
from clinprompt.data.fields import Fields, example_of
from clinprompt.data.files import numbered_lines, one_file, parse_json
from clinprompt.errors import InputError
from clinprompt.schema.example import Example

FIELDS = Fields(note="question", options=("opa", "opb", "opc", "opd"), label="cop", id="id", key="one-based")


def read(path: Path | None, *, cut: tuple[int, int] | None = None) -> list[Example]:
    """Every question as ``note`` with its four options; explanations (they may name the answer) are left
    out.

    ``cut`` keeps a half-open range of the questions in the order of their ids, for parts of our own. Raises
    one :class:`InputError` that lists all lines that cannot be read.
    """
    file = one_file(path, reader="medmcqa")
    faults, examples = Faults(), []
    for number, line in numbered_lines(file):
        where = f"{file} line {number}"
        with faults.gathered():
            examples.append(_example(parse_json(line, where=where), where=where))
    faults.raise_all()
    return cut_rows(sorted(examples, key=lambda example: example.id), cut) if cut else examples


def _example(record: Any, *, where: str) -> Example:
    if not isinstance(record, dict) or not all(isinstance(record.get(name), str) for name in FIELDS.options):
        raise InputError("the question misses an option", where=where, allowed=", ".join(FIELDS.options))
    return example_of(record, FIELDS, fallback_id="", where=where)
