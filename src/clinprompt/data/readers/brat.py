"""brat standoff: ``.txt``/``.ann`` pairs with text-bound spans, events, relations and attributes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from clinprompt.data.faults import Faults
from clinprompt.data.files import files_below, numbered_lines, read_text
from clinprompt.data.naming import group_name, note_name
from clinprompt.data.standoff import Standoff
from clinprompt.data.stream import Stream
from clinprompt.errors import InputError
from clinprompt.schema.document import Document


def read(path: Path | None, *, group: str = "") -> list[Document]:
    """The annotated notes of a folder (and the folders below it), or of one pair named by either of its
    files.

    Offsets count code points of the unchanged text. A relation or attribute of an event is one of its
    trigger span; an event's arguments become relations from the trigger, labelled by their role (``Theme2``
    is ``Theme``). The trigger keeps the event's id in the attribute ``brat event``; normalisations (``N``)
    become the attribute ``concept`` and notes (``#``) the attribute ``note`` with their type. Equivalences
    (``*``) and what is said of relations stand as ``brat lines`` in the metadata, so that the writer gives
    all lines back. ``group`` is a regular expression that finds the patient in the note's name.

    Raises one :class:`InputError` that lists all faults of all files, mentions that differ from the text
    among them.
    """
    return list(stream(path, group=group))


def stream(path: Path | None, *, group: str = "") -> Stream[Document]:
    """What :func:`read` reads, one note after the other."""
    return Stream(lambda: _documents(path, group))


def _documents(path: Path | None, group: str) -> Iterator[Document]:
    faults = Faults(one_by_one=True)
    for text_file in _texts(path):
        with faults.gathered():
            name = note_name(text_file, Path(path))  # type: ignore[arg-type]
            yield _document(text_file, name=name, group=group_name(name, group))
    faults.raise_all()


def _texts(path: Path | None) -> list[Path]:
    files = files_below(path, reader="brat", suffixes=(".txt", ".ann"))
    stems = {file.with_suffix("") for file in files}
    faults = Faults()
    for stem in sorted(stems):
        for suffix, fix in (
            (".txt", "add the text"),
            (".ann", "add an empty .ann file if the note has no mention"),
        ):
            with faults.gathered():
                partner = stem.with_name(stem.name + suffix)
                if not partner.is_file():
                    raise InputError(f"the pair has no {suffix} file", where=str(partner), fix=fix)
    faults.raise_all()
    return [stem.with_name(stem.name + ".txt") for stem in sorted(stems)]


def _document(text_file: Path, *, name: str, group: str) -> Document:
    annotations = text_file.with_name(text_file.stem + ".ann")
    text = read_text(text_file)
    standoff = Standoff(text)
    faults = Faults()
    for number, line in numbered_lines(annotations):
        with faults.gathered():
            standoff.add(line, where=f"{annotations} line {number}")
    faults.raise_all()
    spans, relations = standoff.resolved(where=str(annotations))
    return Document(id=name, text=text, spans=spans, relations=relations, group=group, metadata=standoff.metadata())
