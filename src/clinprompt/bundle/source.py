"""A bundle as it is read: a tar file or a folder, of which only plain files are ever taken.

The tar is read here block by block and nothing is unpacked by names that it gives: no links, no devices, no extended
headers, no compression, so that neither a path nor a length can do more than be refused.
"""

from __future__ import annotations

import os
import stat
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from clinprompt.errors import InputError

MOST_FILES = 100_000
"""Files of the largest bundle that is read."""

_AGAIN = "copy the bundle again, and compare the SHA-256 that `clinprompt bundle create` printed"


@dataclass(frozen=True, slots=True)
class Place:
    """Where the bytes of a file of a bundle are: in which file, from which byte, how many."""

    path: Path
    start: int
    bytes: int


def places(bundle: Path) -> dict[str, Place]:
    """The files of a bundle by name; none is opened but the tar's own headers are.

    Raises :class:`InputError` when it cannot be read, and for anything that is not a plain file.
    """
    try:
        found: dict[str, Place] = {}
        for name, place in _tar(bundle) if bundle.is_file() else _folder(bundle):
            if name in found:
                raise InputError(f"the file {name[:100]!r} is in the bundle twice", where=str(bundle), fix=_AGAIN)
            if len(found) >= MOST_FILES:
                raise InputError("the bundle has too many files", where=str(bundle), allowed=f"{MOST_FILES:,}")
            found[name] = place
    except OSError as error:
        raise InputError(f"the bundle cannot be read: {error.strerror}", where=str(bundle)) from None
    return found


@contextmanager
def opened(place: Place) -> Iterator[BinaryIO]:
    """The file that a place is in, opened at its first byte; a link in its stead is not followed."""
    handle = os.open(place.path, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0))
    with os.fdopen(handle, "rb") as stream:
        stream.seek(place.start)
        yield stream


def chunks(place: Place, *, size: int = 1 << 20) -> Iterator[bytes]:
    """The bytes of a file of a bundle, in pieces; fewer than it should have when it ends early."""
    with opened(place) as stream:
        left = place.bytes
        while left and (piece := stream.read(min(size, left))):
            left -= len(piece)
            yield piece


def _tar(path: Path) -> Iterator[tuple[str, Place]]:
    size = path.stat().st_size
    # The place is opened without following links; the path that a person gives may be one.
    real = path.resolve()
    with real.open("rb") as stream:
        while True:
            block = stream.read(tarfile.BLOCKSIZE)
            try:
                member = tarfile.TarInfo.frombuf(block, "ascii", "strict")
            except tarfile.EOFHeaderError:
                if stream.read().strip(b"\0"):
                    raise InputError(
                        "something stands behind the end of the tar", where=str(path), fix=_AGAIN
                    ) from None
                return
            except (tarfile.HeaderError, UnicodeDecodeError):
                raise InputError("this is no bundle, or a damaged one", where=str(path), fix=_AGAIN) from None
            if member.type != tarfile.REGTYPE or member.size < 0:
                raise InputError(
                    "the tar holds something that is not a plain file (a link, a folder, a device, an extended header)",
                    where=f"{path} byte {stream.tell() - tarfile.BLOCKSIZE}",
                    allowed="tar files of `clinprompt bundle create`",
                )
            start = stream.tell()
            if start + member.size > size:
                raise InputError("the tar ends early", where=str(path), fix=_AGAIN)
            yield member.name, Place(real, start, member.size)
            stream.seek(start + -(-member.size // tarfile.BLOCKSIZE) * tarfile.BLOCKSIZE)


def _folder(path: Path) -> Iterator[tuple[str, Place]]:
    for folder, folders, files in os.walk(path, onerror=_raised):
        for name in sorted((*folders, *files)):
            entry = Path(folder) / name
            kind = entry.lstat()
            if not (stat.S_ISREG(kind.st_mode) or stat.S_ISDIR(kind.st_mode)):
                raise InputError("the bundle holds something that is not a plain file", where=str(entry))
            if stat.S_ISREG(kind.st_mode):
                yield entry.relative_to(path).as_posix(), Place(entry, 0, kind.st_size)
        folders.sort()


def _raised(error: OSError) -> None:
    raise error
