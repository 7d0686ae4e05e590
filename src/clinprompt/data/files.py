"""Files read exactly: UTF-8, no newline translation, errors that name file and line and never quote the
text.
"""

from __future__ import annotations

import codecs
import hashlib
import json
import os
import re
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO

from clinprompt.data.atomic import is_unfinished
from clinprompt.errors import InputError

# A document type that only names itself and where it is written.
_NAMED_TYPE = re.compile(
    r"""<!DOCTYPE\s+[\w:.-]+(\s+(SYSTEM|PUBLIC\s+("[^"]*"|'[^']*')))?(\s*("[^"]*"|'[^']*'))?\s*>"""
)


def files_below(path: Path | None, *, reader: str, suffixes: tuple[str, ...]) -> list[Path]:
    """The file itself, or all files of these suffixes in the folder and below, sorted by name.

    Raises :class:`InputError` when ``path`` is ``None``, is not there, or holds no such file.
    """
    return list(files_in(path, reader=reader, suffixes=suffixes))


def files_in(path: Path | None, *, reader: str, suffixes: tuple[str, ...]) -> Iterator[Path]:
    """What :func:`files_below` finds, one by one."""
    if path is None:
        raise InputError(f"the reader {reader!r} needs a path", fix="give `path` in the part of the task file")
    path = Path(path)
    if path.is_file():
        yield path
        return
    if not path.exists():
        raise InputError("the file or folder is not there", where=str(path), fix="check the path and the data root")
    none = True
    for file in walked(path):
        if file.suffix.lower() in suffixes:
            none = False
            yield file
    if none:
        raise InputError("the folder holds no file of this format", where=str(path), allowed=", ".join(suffixes))


def walked(folder: Path) -> Iterator[Path]:
    """All files of a folder and below, in the order of their paths; the names of one folder at a time are held.

    What is being written there at the same time, such as an export into the folder itself, is left out.
    """
    try:
        names = sorted(os.listdir(folder))
    except OSError as error:
        raise InputError(f"the folder cannot be read: {error.strerror}", where=str(folder)) from None
    for name in (name for name in names if not is_unfinished(name)):
        path = folder / name
        if path.is_file():
            yield path
        elif path.is_dir() and not path.is_symlink():
            yield from walked(path)


def one_file(path: Path | None, *, reader: str) -> Path:
    """The path, when it is a file; :class:`InputError` otherwise."""
    found = files_below(path, reader=reader, suffixes=())
    return found[0]


def read_text(path: Path) -> str:
    """The text of a UTF-8 file, character for character (CRLF and a byte order mark are kept)."""
    with opened_text(path, newline="") as stream:
        return stream.read()


@contextmanager
def opened_text(path: Path, *, newline: str) -> Iterator[TextIO]:
    """A UTF-8 file to read from, its lines ended by ``newline`` (empty: by any sign) and nothing translated.

    Raises :class:`InputError` for a file that cannot be read, and in reading for one that is not UTF-8.
    """
    try:
        with path.open(encoding="utf-8", newline=newline) as stream:
            yield stream
        return
    except UnicodeDecodeError:
        at = _wrong_byte(path)
    except OSError as error:
        raise InputError(f"the file cannot be read: {error.strerror}", where=str(path)) from None
    raise InputError(f"the file is not UTF-8 at byte {at}", where=str(path), fix="convert it to UTF-8")


def _wrong_byte(path: Path) -> int:
    """Where the first line that is not UTF-8 goes wrong; no sign of several bytes holds a line's end."""
    place = 0
    with path.open("rb") as stream:
        for line in stream:
            try:
                line.decode("utf-8")
            except UnicodeDecodeError as error:
                return place + error.start
            place += len(line)
    return place


def numbered_lines(path: Path) -> Iterator[tuple[int, str]]:
    """Line numbers from 1 and lines, divided at ``\\n`` only; a ``\\r`` before it and a byte order mark are
    removed.
    """
    with opened_text(path, newline="\n") as stream:
        for number, line in enumerate(without_mark(stream), 1):
            yield number, line.removesuffix("\n").removesuffix("\r")


def numbered_bytes(path: Path) -> Iterator[tuple[int, int, bytes]]:
    """Line numbers from 1, the byte at which each line begins, and its bytes: what :func:`numbered_lines` gives, for
    those who go on after a line that is not UTF-8 (:func:`decoded`).
    """
    begins = 0
    try:
        with path.open("rb") as stream:
            for number, line in enumerate(stream, 1):
                kept = line.removeprefix(codecs.BOM_UTF8) if number == 1 else line
                yield number, begins + len(line) - len(kept), kept.removesuffix(b"\n").removesuffix(b"\r")
                begins += len(line)
    except OSError as error:
        raise InputError(f"the file cannot be read: {error.strerror}", where=str(path)) from None


def decoded(line: bytes, *, begins: int, where: str) -> str:
    """The text of a line that begins at a byte of its file; :class:`InputError` when it is not UTF-8."""
    try:
        return line.decode("utf-8")
    except UnicodeDecodeError as error:
        at = begins + error.start
    raise InputError(f"the file is not UTF-8 at byte {at}", where=where, fix="convert it to UTF-8")


def without_mark(stream: TextIO) -> TextIO:
    """A file that was just opened, from behind its byte order mark."""
    if stream.read(1) != "\ufeff":
        stream.seek(0)
    return stream


def parse_json(text: str, *, where: str) -> Any:
    """The JSON value of a text; :class:`InputError` with the position when it is not JSON."""
    try:
        value = json.loads(text.removeprefix("\ufeff"))
    except json.JSONDecodeError as error:
        fault = f"this is not JSON: {error.msg} at line {error.lineno}, column {error.colno}"
    except RecursionError:
        fault = "this JSON is nested too deeply"
    else:
        # A lone surrogate has no UTF-8 form, so a text that holds one could never be written again.
        if not re.search(r"\\u[dD][89a-fA-F]", text) or _has_utf8(value):
            return value
        fault = "this JSON has half of a surrogate pair, which is not a character"
    raise InputError(fault, where=where)


def _has_utf8(value: Any) -> bool:
    try:
        json.dumps(value, ensure_ascii=False).encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def read_xml(path: Path) -> ElementTree.Element:
    """The root element of an XML file; a document type may be named, but may not declare anything (entities
    could grow without bound) and is not looked up.
    """
    text = read_text(path).removeprefix("\ufeff")
    if "<!DOCTYPE" in text and ("<!ENTITY" in text or not _NAMED_TYPE.search(text)):
        raise InputError(
            "XML with declarations in its document type is not read",
            where=str(path),
            fix="remove the <!DOCTYPE …> part",
        )
    try:
        return ElementTree.fromstring(text)
    except ElementTree.ParseError as error:
        line = error.position[0]
    raise InputError("this is not well-formed XML", where=f"{path} line {line}")


def file_hash(path: Path) -> str:
    """The SHA-256 of a file in hexadecimal."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
