"""Whether an audit log is as it was written: its chain of hashes, its seals, and ends that were noted elsewhere."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from clinprompt.errors import InputError
from clinprompt.serving.audit import is_torn, parts
from clinprompt.serving.audit_line import START, AuditSecret, ChainedLine, head, parsed_line


@dataclass(frozen=True)
class Anchor:
    """The number and hash of a line, noted where who can change the log cannot change it: ``17:5f…``."""

    number: int
    hash: str

    def __str__(self) -> str:
        return f"{self.number}:{self.hash}"


@dataclass(frozen=True)
class Fault:
    """Something in a log that its writer did not write so; ``line`` counts within the file, from 1."""

    kind: Literal["changed", "missing", "moved", "unreadable", "cut"]
    file: str
    line: int
    what: str

    def __str__(self) -> str:
        return f"{self.kind}: {self.file} line {self.line}: {self.what}"


@dataclass(frozen=True)
class Audited:
    """What was found: whole lines, faults, the anchor of the end, bytes of an unfinished line at the end, numbers of
    lines after which the writer was not there any more without having closed the log (a crash, a kill, or a cut; the
    last line too while a server writes), and whether seals were checked.
    """

    lines: int
    faults: tuple[Fault, ...]
    end: Anchor | None
    torn: int
    unclosed: tuple[int, ...]
    sealed: bool


def parsed_anchor(text: str) -> Anchor:
    """The anchor that ``audit verify`` printed; :class:`InputError` when it is not one."""
    form = re.fullmatch(r"([1-9][0-9]*):([0-9a-f]{64})", text.strip())
    if form is None:
        raise InputError(f"{text!r} is no anchor", where="--anchor", allowed="NUMBER:HASH, as `audit verify` prints it")
    return Anchor(int(form[1]), form[2])


def verify(path: Path, *, secret: AuditSecret | None = None, anchors: Sequence[Anchor] = ()) -> Audited:
    """Read a log with its finished parts and compare every line with the one before it.

    Without ``secret`` somebody who can write the files can write the whole chain anew, or change the last line; with
    it the seals show that. Lines cut from the end are found only with an anchor of a line that was there.
    Raises :class:`InputError` when there is no log.
    """
    files = _files(path)
    wanted = {anchor.number: anchor for anchor in anchors}
    faults: list[Fault] = []
    # Lines before the first part may be kept elsewhere: an anchor of the last of them stands for them.
    number, before, lines, torn, event = 0, START, 0, 0, "closed"
    unclosed: list[int] = []
    for file, at, content, ended in _lines(files):
        if not ended and file == files[-1] and is_torn(content, head(number + 1, before)):
            torn = len(content)
            break
        line = parsed_line(content) if ended else None
        if line is None:
            faults.append(Fault("unreadable", file.name, at, "this is not a line of an audit log"))
            number, before = number + 1, ""
            continue
        if number == 0 and line.number > 1 and Anchor(line.number - 1, line.before) == wanted.get(line.number - 1):
            number, before = line.number - 1, line.before
            del wanted[number]
        faults += [Fault(kind, file.name, at, what) for kind, what in _faults(line, number, before, secret)]
        anchor = wanted.pop(line.number, None)
        if anchor is not None and anchor.hash != line.hash:
            faults.append(Fault("changed", file.name, at, f"line {line.number} is not the one of the anchor"))
        if line.event == "opened" and event != "closed":
            unclosed.append(number)
        number, before, lines, event = line.number, line.hash, lines + 1, line.event
    for anchor in wanted.values():
        faults.append(Fault("cut", files[-1].name, lines, f"line {anchor.number} of the anchor is not there"))
    if event != "closed":
        unclosed.append(number)
    end = Anchor(number, before) if lines and before else None
    return Audited(lines, tuple(faults), end, torn, tuple(unclosed), secret is not None)


def visits(path: Path, mark: str) -> Iterator[dict[str, Any]]:
    """The records of a log, with its finished parts, that bear this mark of a note; lines that are none are left out.

    Raises :class:`InputError` when there is no log.
    """
    for _, _, content, _ in _lines(_files(path)):
        line = parsed_line(content) if mark.encode() in content else None
        told = json.loads(line.content) if line else {}
        if mark in told.get("notes", ()):
            yield told


def _files(path: Path) -> list[Path]:
    files = [*parts(path), *([path] if path.exists() else [])]
    if not files:
        raise InputError("there is no audit log", where=str(path))
    return files


def _faults(
    line: ChainedLine, number: int, before: str, secret: AuditSecret | None
) -> Iterator[tuple[Literal["changed", "missing", "moved"], str]]:
    """What is wrong with a line that follows the line of this number and hash."""
    if line.number > number + 1:
        yield "missing", f"of the log, {number + 1} to {line.number - 1} are not here"
    elif line.number <= number:
        yield "moved", f"line {line.number} of the log stands after line {number}"
    elif before and line.before != before:
        yield "changed", f"line {number} or {line.number} of the log was changed after it was written"
    if secret is not None and not line.sealed_by(secret):
        yield "changed", f"line {line.number} of the log does not bear the seal of this secret"


def _lines(files: Sequence[Path]) -> Iterator[tuple[Path, int, bytes, bool]]:
    """Each line: its file, its place there, its bytes without the line break, and whether it had one."""
    for file in files:
        with file.open("rb") as handle:
            for at, content in enumerate(handle, 1):
                yield file, at, content.removesuffix(b"\n"), content.endswith(b"\n")
