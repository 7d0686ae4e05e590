"""Plain notes: a folder of ``.txt`` files, or one file, without annotation."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from clinprompt.data.faults import Faults
from clinprompt.data.files import files_in, read_text
from clinprompt.data.naming import group_name, note_name
from clinprompt.data.stream import Stream
from clinprompt.schema.document import Document


def read(path: Path | None, *, group: str = "") -> list[Document]:
    """Every text as a :class:`Document` without spans, sorted by name.

    ``group`` is a regular expression that finds the patient in the note's name; without it each note is its
    own. Raises :class:`InputError` for a missing folder, and one that lists all texts that are not UTF-8.
    """
    return list(stream(path, group=group))


def stream(path: Path | None, *, group: str = "") -> Stream[Document]:
    """What :func:`read` reads, one note after the other."""
    return Stream(lambda: _documents(path, group))


def _documents(path: Path | None, group: str) -> Iterator[Document]:
    faults = Faults(one_by_one=True)
    for file in files_in(path, reader="plain", suffixes=(".txt",)):
        with faults.gathered():
            name = note_name(file, Path(path))  # type: ignore[arg-type]
            yield Document(id=name, text=read_text(file), group=group_name(name, group))
    faults.raise_all()
