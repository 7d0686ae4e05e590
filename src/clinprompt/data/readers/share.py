"""ShARe annotation of disorders in SemEval-2015 task 14: ``.text`` notes with ``.pipe`` lines beside them."""

from __future__ import annotations

import re
from itertools import pairwise
from pathlib import Path

from clinprompt.data.faults import Faults
from clinprompt.data.files import files_below, numbered_lines, read_text
from clinprompt.data.naming import group_name, note_name
from clinprompt.errors import InputError
from clinprompt.schema.concepts import CONCEPT
from clinprompt.schema.document import Document, Fragment, Span

LABEL = "Disorder"
SLOTS = ("negation", "subject", "uncertainty", "course", "severity", "conditional", "generic", "body location")
"""What a line says of a disorder from its fourth field on; behind each value stand the places of its cue words."""

_PLACE = re.compile(r"([0-9]{1,12})-([0-9]{1,12})")
_CUI = re.compile(r"C[0-9]{7}")
_SAYS_NOTHING = ("", "null")


def read(path: Path | None, *, group: str = "") -> list[Document]:
    """One :class:`Document` per ``NAME.pipe`` file in the folder ``path`` and below, with ``NAME.text`` beside it.

    A line names the note, the places of a disorder (``30-35,41-50``, half-open, in characters of the text), its
    concept and eight slots, each with the places of its cue. The disorder is a span ``Disorder``; concept (UMLS) and
    slots are its attributes, cues are left out. Lines with the same places are one disorder, the first. ``group`` is a
    regular expression that finds the patient in the note's name.

    Raises one :class:`InputError` that lists all lines that cannot be read.
    """
    faults, documents = Faults(), []
    for file in files_below(path, reader="share", suffixes=(".pipe",)):
        with faults.gathered():
            name = note_name(file, Path(path))  # type: ignore[arg-type]
            documents.append(_document(file, name=name, group=group_name(name, group)))
    faults.raise_all()
    return documents


def _document(file: Path, *, name: str, group: str) -> Document:
    beside = file.with_suffix(".text")
    if not beside.is_file():
        raise InputError("the annotation has no text", where=str(beside), fix="add the .text file of the note")
    text = read_text(beside)
    faults, found = Faults(), {}
    for number, line in numbered_lines(file):
        if line.strip():
            with faults.gathered():
                places, attributes = _disorder(line.strip(), text, where=f"{file} line {number}")
                found.setdefault(places, attributes)
    faults.raise_all()
    spans = [
        Span(label=LABEL, fragments=places, id=f"T{place}", attributes=attributes)
        for place, (places, attributes) in enumerate(found.items(), 1)
    ]
    return Document(id=name, text=text, spans=tuple(spans), group=group)


def _disorder(line: str, text: str, *, where: str) -> tuple[tuple[Fragment, ...], dict[str, str]]:
    fields = line.split("|")
    if len(fields) < 3 + 2 * len(SLOTS):
        raise InputError(
            f"the line has {len(fields)} fields", where=where, allowed="note, places, concept and eight slots with cues"
        )
    places = []
    for piece in fields[1].split(","):
        match = _PLACE.fullmatch(piece.strip())
        start, end = map(int, match.groups()) if match else (0, 0)
        if not start < end <= len(text):
            raise InputError("the second field is no list of places in the note", where=where, allowed="30-35,41-50")
        places.append((start, end))
    places.sort()
    if any(after[0] < before[1] for before, after in pairwise(places)):
        raise InputError("the places of one disorder overlap", where=where)
    said = {name: value for name, value in zip(SLOTS, fields[3::2], strict=False) if value not in _SAYS_NOTHING}
    concept = {CONCEPT: f"UMLS:{fields[2]}"} if _CUI.fullmatch(fields[2]) else {}
    return tuple(places), concept | said
