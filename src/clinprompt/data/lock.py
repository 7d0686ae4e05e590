"""A lock between processes that ends with the process that holds it, however that process ends."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from clinprompt.errors import InputError

_PAUSE = 0.02
"""Seconds between two tries of who waits for a lock."""


class Lock:
    """A lock file held by one process; when that process dies the kernel lets go, and the file is free.

    ``what`` is guarded, in the words of a message.
    """

    def __init__(self, path: Path, *, what: str = "this run") -> None:
        self.path, self.what = path, what
        self._handle: int | None = None

    @property
    def held(self) -> bool:
        """Whether this object holds the lock now."""
        return self._handle is not None

    def take(self) -> None:
        """Take the lock or raise :class:`InputError` naming the process that holds it."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        while True:
            handle = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o666)
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                owner = os.read(handle, 64).decode(errors="replace").strip() or "unknown"
                os.close(handle)
                raise InputError(
                    f"process {owner} is working on {self.what}",
                    where=str(self.path),
                    fix="wait for it or stop it, then run the same command again",
                ) from None
            if self._is_current(handle):
                break
            os.close(handle)  # the former holder removed the file between our opening and locking it
        os.ftruncate(handle, 0)
        os.write(handle, str(os.getpid()).encode())
        self._handle = handle

    @contextmanager
    def waited_for(self, seconds: float) -> Iterator[None]:
        """Hold the lock for the length of a ``with``, waiting so long for another holder; raises as :meth:`take`."""
        until = time.monotonic() + seconds
        while not self.held:
            try:
                self.take()
            except InputError:
                if time.monotonic() >= until:
                    raise
                time.sleep(_PAUSE)
        try:
            yield
        finally:
            self.release()

    def release(self) -> None:
        """Let go; nothing happens when the lock is not held."""
        if self._handle is not None:
            self.path.unlink(missing_ok=True)
            os.close(self._handle)
            self._handle = None

    def _is_current(self, handle: int) -> bool:
        try:
            return os.path.samestat(os.fstat(handle), os.stat(self.path))
        except FileNotFoundError:
            return False
