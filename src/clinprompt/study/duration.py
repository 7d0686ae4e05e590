"""How long a finished run took, with what it has from runs before it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from clinprompt.stages.earlier import made


def seconds_of(run: Path) -> float | None:
    """The seconds that a finished run took, and the runs that it has cells from.

    ``None`` when they are not known: of a run that was interrupted, or that has only some of another one's cells.
    """
    done, environment = _read(run / "done.json"), _read(run / "environment.json")
    if done is None or environment is None or len(environment["sessions"]) != 1:
        return None
    times: list[float | None] = [float(done["seconds"])]
    for earlier, count in done["summary"].get("taken", {}).items():
        before = _read(run.parent / earlier / "done.json")
        times.append(seconds_of(run.parent / earlier) if before and made(before["summary"])[0] == count else None)
    known = [seconds for seconds in times if seconds is not None]
    return sum(known) if len(known) == len(times) else None


def _read(file: Path) -> dict[str, Any] | None:
    return dict(json.loads(file.read_text(encoding="utf-8"))) if file.is_file() else None
