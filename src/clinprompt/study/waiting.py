"""A lock that the workers of a study wait for: what one of them makes, the others take."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

from clinprompt.data.lock import Lock
from clinprompt.training.parallel import world

SECONDS = 7 * 24 * 3600.0
"""How long a worker waits for another one."""


@contextmanager
def waiting(path: Path, *, what: str) -> Iterator[None]:
    """Alone among workers for the length of a ``with``; of several processes of one worker the first waits for all."""
    with Lock(path, what=what).waited_for(SECONDS) if world().leads else nullcontext():
        yield
