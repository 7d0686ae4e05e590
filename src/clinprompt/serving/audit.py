"""The audit log: one sealed line for each request, appended before the request is answered, or no answer."""

from __future__ import annotations

import errno
import os
import threading
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from clinprompt.data.lock import Lock
from clinprompt.errors import InputError
from clinprompt.serving.audit_line import START, AuditRecord, AuditSecret, ChainedLine, chained, head, parsed_line
from clinprompt.serving.refused import Refused

Fsync = Literal["line", "never"]
Event = Literal["request", "begun", "ended"]

ROTATE = 100_000_000
"""Bytes after which a log goes on in a new file."""

_TAIL = 1 << 16


class AuditLog:
    """The end of a chain of lines, which this process alone may lengthen.

    ``fsync``: with ``line`` a record is on the disk, not only with the operating system, before :meth:`write` returns
    (lines of several threads share one fsync); with ``never`` a power cut may lose the last ones. A file longer than
    ``rotate`` bytes is renamed (``audit.jsonl`` to ``audit.1.jsonl``, then ``.2`` …) and the chain goes on.

    Raises :class:`InputError` when another process writes the log or its last line is not one of this secret.
    """

    def __init__(
        self,
        path: Path,
        *,
        secret: AuditSecret,
        fsync: Fsync = "line",
        rotate: int = ROTATE,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self.path, self.secret, self.fsync, self.rotate, self.clock = path, secret, fsync, rotate, clock
        self._lock = Lock(path.with_name(f".{path.name}.lock"), what="this audit log")
        self._writing, self._syncing = threading.Lock(), threading.Lock()
        self._handle: int | None = None
        self._number = self._length = self._kept = 0
        self._last = START
        self._doubtful = False
        try:
            self._lock.take()
            self._open()
            self._keep(self._number)
        except BaseException as error:
            self._shut()
            self._lock.release()
            if isinstance(error, OSError):
                raise InputError(f"the audit log cannot be written: {error.strerror}", where=str(path)) from None
            raise

    def write(self, record: AuditRecord, *, event: Event = "request") -> int:
        """Append a record and return the number of its line; blocks for as long as the disk takes.

        An answer that is streamed has two records, ``begun`` before its first byte and ``ended``. Raises
        :class:`Refused` with 503 when the record cannot be kept; then nothing may be answered.
        """
        try:
            with self._writing:
                if self._handle is None or self._doubtful:
                    self._shut()
                    self._open()
                if self._length >= self.rotate:
                    self._rotate()
                number = self._append(event, record)
            self._keep(number)
        except (OSError, InputError) as error:
            reason = error.strerror if isinstance(error, OSError) else error.what
            raise Refused(
                503, "audit_unavailable", f"nothing is answered while the audit log cannot be written: {reason}",
                retry_after=10,
            ) from None  # fmt: skip
        return number

    def close(self) -> None:
        """End the log with a line that says so, by which an end is told from a crash and from a cut."""
        with self._writing:
            if self._lock.held and self._handle is not None:
                # A disk that is full at the end: the chain ends with the last request.
                with suppress(OSError, InputError):
                    self._append("closed")
                    os.fsync(self._handle)
            self._shut()
            self._lock.release()

    def __enter__(self) -> AuditLog:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _open(self) -> None:
        """Go on after the last whole line; what a crash left of another one is taken away, and that is told."""
        if not self._lock.held:
            raise InputError("the audit log is closed")
        last, torn = _end([*parts(self.path), self.path], secret=self.secret)
        self._last, self._number = (last.hash, last.number) if last else (START, 0)
        self._handle = os.open(self.path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        self._length = os.fstat(self._handle).st_size - torn
        os.ftruncate(self._handle, self._length)
        if not self._length:
            _folder_to_disk(self.path.parent)  # without it a power cut may lose the file with all that is in it
        self._append("opened", torn=torn)
        self._doubtful = False

    def _append(self, event: str, record: AuditRecord | None = None, **told: int) -> int:
        assert self._handle is not None
        here = os.fstat(self._handle)
        if here.st_size != self._length or not os.path.samestat(here, os.stat(self.path)):
            raise InputError("another program changed the audit log")
        time = self.clock().astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        line = chained(
            self._number + 1, self._last, time=time, event=event, secret=self.secret, record=record, told=told
        )
        content = line.content + b"\n"
        try:
            if os.write(self._handle, content) != len(content):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))  # only a full disk takes a part
        except OSError:
            self._doubtful = True
            os.ftruncate(self._handle, self._length)
            self._doubtful = False
            raise
        self._last, self._number, self._length = line.hash, line.number, self._length + len(content)
        return line.number

    def _keep(self, number: int) -> None:
        """Bring the line of this number to the disk, unless another thread's fsync has done it already."""
        if self.fsync == "never":
            return
        with self._syncing:
            if number <= self._kept:
                return
            upto, handle = self._number, self._handle
            if handle is None:
                raise OSError(errno.EIO, os.strerror(errno.EIO))
            try:
                os.fsync(handle)
            except OSError:
                self._doubtful = True  # what the disk has is not known; the next record begins by looking
                raise
            self._kept = upto

    def _rotate(self) -> None:
        assert self._handle is not None
        self._append("closed")
        with self._syncing:
            os.fsync(self._handle)
            self._kept = self._number
        self._shut()
        done = parts(self.path)
        number = _part_number(done[-1], self.path) + 1 if done else 1
        self.path.rename(self.path.with_name(f"{self.path.stem}.{number}{self.path.suffix}"))
        self._open()

    def _shut(self) -> None:
        with self._syncing:
            if self._handle is not None:
                os.close(self._handle)
                self._handle = None


def parts(path: Path) -> list[Path]:
    """The finished parts of a log in their order: ``audit.1.jsonl``, ``audit.2.jsonl`` … of ``audit.jsonl``."""
    found = [one for one in path.parent.iterdir() if _part_number(one, path)] if path.parent.is_dir() else []
    return sorted(found, key=lambda one: _part_number(one, path))


def is_torn(rest: bytes, expected: bytes) -> bool:
    """Whether a crash can have left these bytes of the line that begins with ``expected``: its begin, and zeros."""
    rest = rest.rstrip(b"\0")
    return rest[: len(expected)] == expected[: len(rest)]


def _part_number(part: Path, path: Path) -> int:
    before, after = f"{path.stem}.", path.suffix
    if not (part.name.startswith(before) and part.name.endswith(after)):
        return 0
    middle = part.name[len(before) : len(part.name) - len(after)]
    return int(middle) if middle.isdecimal() and middle.isascii() else 0


def _end(files: list[Path], *, secret: AuditSecret) -> tuple[ChainedLine | None, int]:
    """The last whole line of a log, and how many bytes of another one a crash left at the end of its last file."""
    last, torn = None, b""
    for file in reversed(files):
        content = _tail(file)
        whole, newline, rest = content.rpartition(b"\n")
        torn = rest if file == files[-1] else torn
        if newline:
            last = parsed_line(whole.rpartition(b"\n")[2])
            if last is None or not last.sealed_by(secret):
                raise _not_ours("the last line of the audit log was changed, or has another secret's seal", file)
            break
    if not is_torn(torn, head(last.number + 1, last.hash) if last else head(1, START)):
        raise _not_ours("the end of the audit log is not what a crash leaves of a line", files[-1])
    return last, len(torn)


def _not_ours(what: str, file: Path) -> InputError:
    return InputError(
        what, where=str(file), fix="look at it with `clinprompt audit verify`; to begin a new log, move this one away"
    )


def _folder_to_disk(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _tail(path: Path) -> bytes:
    """The end of a file, with its last whole line; nothing of a file that is not there."""
    if not path.exists():
        return b""
    with path.open("rb") as file:
        length = file.seek(0, os.SEEK_END)
        size = _TAIL
        while True:
            file.seek(max(0, length - size))
            content = file.read()
            if content.count(b"\n") >= 2 or size >= length:
                return content
            size *= 2
