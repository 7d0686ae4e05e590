"""MTS-Dialog: a doctor-patient dialogue and the note section, or the section header, it becomes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from clinprompt.data.fields import Fields, example_of, with_distinct_ids
from clinprompt.data.files import one_file
from clinprompt.data.tables import rows_of
from clinprompt.errors import InputError
from clinprompt.schema.example import Example

TARGETS = {
    "section": Fields(note="dialogue", text="section_text", id="ID"),
    "section of header": Fields(note="dialogue", question="section_header", text="section_text", id="ID"),
    "header": Fields(note="dialogue", label="section_header", id="ID"),
}


def read(path: Path | None, *, target: str = "section") -> list[Example]:
    """Every dialogue as ``note``; the answer is the section's text, or its header for ``target``
    ``header``. Groups are dialogues, by file and ID.

    With ``target`` ``section of header`` the header is given as ``question``. Raises :class:`InputError`
    for a row that cannot be read.
    """
    if target not in TARGETS:
        raise InputError(f"the option target has the value {target!r}", allowed=", ".join(TARGETS))
    file = one_file(path, reader="mts_dialog")
    found = with_distinct_ids(
        [
            example_of(row, TARGETS[target], fallback_id=str(number), where=f"{file} line {number}")
            for number, row in rows_of(file)
        ]
    )
    # Each file numbers its dialogues from 0: the same number elsewhere is another dialogue.
    return [replace(example, group=f"{file.stem} {example.group}") for example in found]
