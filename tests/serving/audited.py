"""Audit logs for tests: a secret, records, and a log with some lines."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

from clinprompt.serving.audit import AuditLog
from clinprompt.serving.audit_line import AuditRecord, AuditSecret

SECRET = AuditSecret(b"s" * 32)
RECORD = AuditRecord(
    "ward-3", "/v1/extract", 200, request="r1", tasks=("meds",), prompts=("meds@3",), notes=(SECRET.mark("a note"),),
    characters=6, spans=1,
)  # fmt: skip


def opened(path: Path, **options) -> AuditLog:
    """A log with a clock that goes on by a second at each look."""
    times = iter(datetime(2026, 3, 1, tzinfo=UTC) + timedelta(seconds=n) for n in range(10**6))
    return AuditLog(path, **({"secret": SECRET, "fsync": "never", "clock": lambda: next(times)} | options))


def written(path: Path, records: int = 8, **options) -> list[bytes]:
    """The lines of a log that was opened, got so many records and was closed (8 records: 10 lines)."""
    with opened(path, **options) as log:
        for _ in range(records):
            log.write(RECORD)
    return path.read_bytes().splitlines(keepends=True)
