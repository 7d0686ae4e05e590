"""The gap that an error leaves: why a gang, or one cell of it, has no result."""

from __future__ import annotations

import traceback
from datetime import UTC, datetime
from pathlib import Path

import torch

from clinprompt.errors import InputError
from clinprompt.study.archive import Gap
from clinprompt.study.expansion import PlannedGang


def gap_of(planned: PlannedGang, reason: str, error: str, *, target: str = "", shots: str = "", draw: int = 0) -> Gap:
    """The gap of a gang, or of one of its cells, now."""
    gang = planned.gang
    return Gap(planned.key, planned.part.title, gang.method, gang.seed, reason, error, target, shots, draw, now())


def now() -> str:
    """The time, as records and gaps keep it: in an order that texts have too."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def reason_of(error: Exception) -> tuple[str, str]:
    """Why a gang failed, and the kind of error. Of our own errors the text; of others never: it could hold a note's."""
    kind = type(error).__name__
    if isinstance(error, InputError):
        return str(error), kind
    if isinstance(error, (torch.OutOfMemoryError, MemoryError)):
        return "the device has not enough memory; see `clinprompt study plan` and `clinprompt check`", kind
    frame = traceback.extract_tb(error.__traceback__)[-1]
    return f"{kind} in {Path(frame.filename).name} line {frame.lineno}: a fault of clinprompt, please report it", kind
