"""Files and folders that appear whole or not at all: written beside their place, then renamed."""

from __future__ import annotations

import os
import secrets
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from clinprompt.errors import InputError


@contextmanager
def whole_file(path: Path, *, sole: bool = False) -> Iterator[Path]:
    """A sibling path to write to; it takes the place of ``path`` when the block ends well, else it is
    removed. With ``sole``, for paths that only one process ever writes, what a kill left behind is written over.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.part") if sole else _sibling(path, "part")
    part.touch(exist_ok=sole)
    try:
        yield part
        _to_disk(part)
        part.replace(path)
        _to_disk(path.parent)
    finally:
        part.unlink(missing_ok=True)


def for_all(path: Path) -> None:
    """Give a file the mode that a new one gets in its folder, as the umask says: libraries make some that only their
    owner may read.
    """
    new = _sibling(path, "part")  # to ask for the umask itself would change it for all threads
    new.touch()
    try:
        path.chmod(stat.S_IMODE(new.stat().st_mode))
    finally:
        new.unlink()


@contextmanager
def new_file(path: Path, *, overwrite: bool = False) -> Iterator[Path]:
    """:func:`whole_file` of a path that is not there yet.

    Raises :class:`InputError` when ``path`` is a folder, or a file and ``overwrite`` is not set.
    """
    path = Path(path)
    if path.is_dir():
        raise InputError("a folder stands where a file is to be written", where=str(path))
    if path.exists() and not overwrite:
        raise InputError("the file is there already", where=str(path), fix="choose another name or ask to overwrite")
    with whole_file(path) as part:
        yield part


@contextmanager
def whole_folder(path: Path, *, overwrite: bool = False, many: bool = False) -> Iterator[Path]:
    """A sibling folder to fill; it takes the place of ``path`` when the block ends well, else it is
    removed. With ``many``, for ten thousands of files, the system writes all it holds to disk once, not file by file.

    Raises :class:`InputError` when ``path`` is a file, or is a folder with something in it and
    ``overwrite`` is not set.
    """
    path = Path(path)
    if path.is_file():
        raise InputError("a file stands where a folder is to be written", where=str(path))
    if path.is_dir() and any(path.iterdir()) and not overwrite:
        raise InputError("the folder is not empty", where=str(path), fix="choose another folder or ask to overwrite")
    path.parent.mkdir(parents=True, exist_ok=True)
    part = _sibling(path, "part")
    part.mkdir()
    try:
        yield part
        if many:
            os.sync()
        for file in part.rglob("*") if not many else ():
            _to_disk(file)
        if path.exists():
            old = _sibling(path, "old")
            path.replace(old)
            part.replace(path)
            shutil.rmtree(old)
        else:
            part.replace(path)
        _to_disk(path.parent)
    finally:
        shutil.rmtree(part, ignore_errors=True)


def is_unfinished(name: str) -> bool:
    """Whether a file or folder of this name is one of ours that has not taken its place yet.

    >>> is_unfinished(".0f3c.part"), is_unfinished("a.part")
    (True, False)
    """
    return name.startswith(".") and name.endswith((".part", ".old"))


def _to_disk(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _sibling(path: Path, purpose: str) -> Path:
    return path.with_name(f".{secrets.token_hex(8)}.{purpose}")
