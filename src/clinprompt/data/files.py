"""Files read exactly: UTF-8, no newline translation, errors that name file and line and never quote the
text.
"""

from __future__ import annotations

import hashlib
import json
import re
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from clinprompt.errors import InputError

# A document type that only names itself and where it is written.
_NAMED_TYPE = re.compile(
    r"""<!DOCTYPE\s+[\w:.-]+(\s+(SYSTEM|PUBLIC\s+("[^"]*"|'[^']*')))?(\s*("[^"]*"|'[^']*'))?\s*>"""
)


def files_below(path: Path | None, *, reader: str, suffixes: tuple[str, ...]) -> list[Path]:
    """The file itself, or all files of these suffixes in the folder and below, sorted by name.

    Raises :class:`InputError` when ``path`` is ``None``, is not there, or holds no such file.
    """
    if path is None:
        raise InputError(f"the reader {reader!r} needs a path", fix="give `path` in the part of the task file")
    path = Path(path)
    if path.is_file():
        return [path]
    if not path.exists():
        raise InputError("the file or folder is not there", where=str(path), fix="check the path and the data root")
    found = sorted(file for file in path.rglob("*") if file.suffix.lower() in suffixes and file.is_file())
    if not found:
        raise InputError("the folder holds no file of this format", where=str(path), allowed=", ".join(suffixes))
    return found


def one_file(path: Path | None, *, reader: str) -> Path:
    """The path, when it is a file; :class:`InputError` otherwise."""
    found = files_below(path, reader=reader, suffixes=())
    return found[0]


def read_text(path: Path) -> str:
    """The text of a UTF-8 file, character for character (CRLF and a byte order mark are kept)."""
    try:
        return path.read_bytes().decode("utf-8")
    except UnicodeDecodeError as error:
        at = error.start
    except OSError as error:
        raise InputError(f"the file cannot be read: {error.strerror}", where=str(path)) from None
    raise InputError(f"the file is not UTF-8 at byte {at}", where=str(path), fix="convert it to UTF-8")


def numbered_lines(path: Path) -> Iterator[tuple[int, str]]:
    """Line numbers from 1 and lines, divided at ``\\n`` only; a ``\\r`` before it and a byte order mark are
    removed.
    """
    lines = read_text(path).removeprefix("\ufeff").split("\n")
    if lines[-1] == "":
        lines.pop()
    for number, line in enumerate(lines, 1):
        yield number, line.removesuffix("\r")


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
