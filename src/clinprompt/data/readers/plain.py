"""Plain notes: a folder of ``.txt`` files, or one file, without annotation."""

from __future__ import annotations

from pathlib import Path

from clinprompt.data.files import files_below, read_text
from clinprompt.data.naming import group_name, note_name
from clinprompt.schema.document import Document


def read(path: Path | None, *, group: str = "") -> list[Document]:
    """Every text as a :class:`Document` without spans, sorted by name.

    ``group`` is a regular expression that finds the patient in the note's name; without it each note is its
    own. Raises :class:`InputError` for a missing folder or a text that is not UTF-8.
    """
    files = files_below(path, reader="plain", suffixes=(".txt",))
    names = [note_name(file, Path(path)) for file in files]  # type: ignore[arg-type]
    return [
        Document(id=name, text=read_text(file), group=group_name(name, group))
        for file, name in zip(files, names, strict=True)
    ]
