"""Progress in a file, for whoever waits outside the process."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from clinprompt.stages.atomic import write_json
from clinprompt.stages.progress import Advance, Progress

EVERY = 0.5
"""Seconds between two writings."""


def told(progress: Progress, file: Path) -> Progress:
    """The same progress, written to ``file`` too: ``{"name", "done", "total"}`` of what runs now."""

    @contextmanager
    def both(name: str, total: int | None) -> Iterator[Advance]:
        done, shown = 0, 0.0
        with progress(name, total) as advance:
            write_json(file, {"name": name, "done": 0, "total": total})

            def tell(steps: int = 1, **values: Any) -> None:
                nonlocal done, shown
                done += steps
                advance(steps, **values)
                if time.monotonic() - shown >= EVERY or done == total:
                    shown = time.monotonic()
                    write_json(file, {"name": name, "done": done, "total": total})

            yield tell

    return both
