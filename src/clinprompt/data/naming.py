"""Names of notes from the names of their files, and of patients from the names of notes."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from clinprompt.errors import InputError


def note_name(file: Path, root: Path) -> str:
    """The path of a file below ``root`` without its suffix, with ``/`` between folders; its stem for a
    single file.
    """
    inside = file.relative_to(root) if root.is_dir() else Path(file.name)
    return inside.with_suffix("").as_posix()


def group_name(name: str, pattern: str) -> str:
    """What the first bracket of ``pattern`` finds in the name (all it finds without a bracket), such as the
    patient.

    >>> group_name("p017_note3", r"(p[0-9]+)_")
    'p017'
    """
    if not pattern:
        return name
    try:
        found = re.search(pattern, name)
    except re.error as error:
        raise InputError(f"the option group is not a regular expression: {error}") from None
    if found is None:
        raise InputError("the option group finds nothing in the name of a note", where=name, allowed=pattern)
    return found.group(1) if found.re.groups else found.group()


def distinct_names(ids: Sequence[str], *, prefix: str) -> list[str]:
    """The ids when none is empty or there twice, else numbered names for all of them.

    >>> distinct_names(["a", "a"], prefix="T")
    ['T1', 'T2']
    """
    if all(ids) and len(set(ids)) == len(ids):
        return list(ids)
    return [f"{prefix}{place}" for place in range(1, len(ids) + 1)]
