"""Which reader reads notes that are still to be answered: text is text, records are guessed, answers in them left."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from clinprompt.data.guess import KINDS, Guess, content, guess, kind_of
from clinprompt.data.shapes import SUFFIX_SHAPES

_RECORDS = frozenset((*KINDS, *SUFFIX_SHAPES)) - {".txt"}
_GIVEN = frozenset(("label", "text", "key"))
"""Options that name answers: a note that lacks its answer is a note all the same."""


def guess_notes(path: Path) -> Guess:
    """What :func:`~clinprompt.data.guess.guess` says of notes without regard to answers.

    Text files, folders that hold some, and files of an ending that says nothing are plain, whatever their content
    looks like: a note may begin with headings, or look like columns. Raises :class:`InputError` as there.
    """
    if path.is_dir():
        kinds = set[str]()
        for file in content(path):
            kinds.add(kind_of(file))
            if ".txt" in kinds:
                return Guess("plain", why="the folder holds text files", path=path)
        known = bool(kinds & _RECORDS)
    else:
        known = path.is_file() and kind_of(path) in _RECORDS
    if not known:
        return Guess("plain", why="nothing says otherwise", path=path)
    found = guess(path)
    return replace(found, options={name: value for name, value in found.options.items() if name not in _GIVEN})
