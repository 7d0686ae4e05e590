"""Parallel folders of text files: a long text in one, its summary or answer in another (SumPubMed and others)."""

from __future__ import annotations

from pathlib import Path

from clinprompt.data.cut import cut_rows
from clinprompt.data.faults import Faults
from clinprompt.data.files import files_below, read_text
from clinprompt.data.naming import group_name, note_name
from clinprompt.errors import InputError
from clinprompt.schema.example import Answer, Example


def read(
    path: Path | None,
    *,
    notes: str = "text",
    answers: str = "summary",
    key: str = "",
    group: str = "",
    cut: tuple[int, int] | None = None,
) -> list[Example]:
    """One :class:`Example` per pair of ``.txt`` files in the folders ``notes`` and ``answers`` below ``path``.

    Two files are a pair when the regular expression ``key`` finds the same in their names (without it, when
    their names are the same); what it finds is the example's id. Pairs stand in the order of their ids,
    numbers as numbers, and ``cut`` keeps a half-open range of them, for parts of our own. ``group`` is a
    regular expression that finds the patient in the id. Texts are kept character for character; only the
    line breaks at the very end of an answer are left out.

    Raises one :class:`InputError` that lists all files without a partner and all that cannot be read.
    """
    if path is None or not Path(path).is_dir():
        raise InputError("the reader 'text_pairs' needs a folder", where=str(path or ""))
    sides = [_named(Path(path) / folder, key) for folder in (notes, answers)]
    faults, examples = Faults(), []
    for folder, side, other in ((answers, sides[0], sides[1]), (notes, sides[1], sides[0])):
        for name in sorted(side.keys() - other.keys()):
            with faults.gathered():
                raise InputError(f"the file has no partner in the folder {folder!r}", where=str(side[name]))
    for name in sorted(sides[0].keys() & sides[1].keys(), key=_order):
        with faults.gathered():
            note, answer = (read_text(side[name]) for side in sides)
            examples.append(
                Example(
                    id=name,
                    inputs={"note": note},
                    answer=Answer(text=answer.rstrip("\r\n")),
                    group=group_name(name, group),
                    document=name,
                )
            )
    faults.raise_all()
    return cut_rows(examples, cut) if cut else examples


def _named(folder: Path, key: str) -> dict[str, Path]:
    faults, named = Faults(), {}
    for file in files_below(folder, reader="text_pairs", suffixes=(".txt",)):
        with faults.gathered():
            name = group_name(note_name(file, folder), key)
            if name in named:
                raise InputError(f"two files of the folder have the key {name!r}", where=str(file))
            named[name] = file
    faults.raise_all()
    return named


def _order(name: str) -> tuple[bool, int, str]:
    number = name.isascii() and name.isdigit()
    return (not number, int(name) if number else 0, name)
