"""Files with secrets: readable by their owner only, from the first byte on."""

from __future__ import annotations

import os
import stat
import time
from pathlib import Path

from clinprompt.data.atomic import whole_file
from clinprompt.errors import InputError

FileState = tuple[int, int, int, int]

_SETTLED = 100_000_000
"""Nanoseconds after which a file that is written again cannot have the same time."""


def read_private(path: Path, *, what: str) -> bytes:
    """The content of a file that nobody but its owner may read; ``what`` names it in a message.

    Raises :class:`InputError` when it cannot be read or others may read or change it.
    """
    try:
        # Without O_NONBLOCK a pipe of that name would be waited for.
        with os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK), "rb") as handle:
            _check(path, os.fstat(handle.fileno()), what=what)
            return handle.read()
    except FileNotFoundError:
        raise InputError(f"there is no {what}", where=str(path)) from None
    except OSError as error:
        raise InputError(f"the {what} cannot be read: {error.strerror}", where=str(path)) from None


def write_private(path: Path, content: bytes) -> None:
    """Write a file whole or not at all; before there is anything in it, only its owner may read it.

    Raises :class:`InputError` where it cannot be written.
    """
    try:
        with whole_file(path) as part:
            part.chmod(0o600)
            part.write_bytes(content)
    except OSError as error:
        raise unwritable(path, error) from None


def unwritable(path: Path, error: OSError) -> InputError:
    """The error for a file that cannot be written."""
    return InputError(f"the file cannot be written: {error.strerror}", where=str(path),
                      fix="name one in a folder in which this user may write")  # fmt: skip


def file_state(path: Path) -> FileState | None:
    """What changes when a file does; ``None``, which equals no state, when it changed just now or is not there."""
    try:
        status = path.stat()
    except OSError:
        return None
    if time.time_ns() - status.st_ctime_ns < _SETTLED:
        return None
    return status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns


def _check(path: Path, status: os.stat_result, *, what: str) -> None:
    if not stat.S_ISREG(status.st_mode):
        raise InputError(f"the {what} is not an ordinary file", where=str(path))
    if status.st_mode & 0o077:
        raise InputError(
            f"others than its owner may read or change the {what}",
            where=str(path),
            allowed="mode 600",
            fix=f"`chmod 600 {path.name}`; if others may have read it, make new secrets",
        )
