"""Lines per second of the audit log: written one after the other, from many threads, without fsync, and verified.

    python -m benchmarks.audit [--folder .] [--quick]

Each line is of a request for two tasks. The folder should be on the disk that a server would use: fsync is what takes
the time. Five rounds; medians, and the range for writing. Hardware: CPU, one core, two minutes, a few MB of disk.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import threading
import time
from pathlib import Path

from clinprompt.serving.audit import AuditLog, Fsync
from clinprompt.serving.audit_check import verify
from clinprompt.serving.audit_line import AuditRecord, AuditSecret

SECRET = AuditSecret(b"s" * 32)
RECORD = AuditRecord(
    "ward-3", "/v1/extract", 200, request="0" * 16, tasks=("meds", "problems"), prompts=("meds@3", "problems@1"),
    notes=(SECRET.mark("a note"),), characters=3000, spans=12,
)  # fmt: skip
CASES: tuple[tuple[Fsync, int, int], ...] = (
    ("never", 1, 20_000),
    ("line", 1, 600),
    ("line", 16, 3200),
    ("line", 64, 6400),
)
ROUNDS = 5


def measured(folder: Path, fsync: Fsync, threads: int, lines: int) -> tuple[float, float]:
    """Lines per second written and verified."""
    path = folder / "audit.jsonl"
    with AuditLog(path, secret=SECRET, fsync=fsync) as log:
        writers = [
            threading.Thread(target=lambda: [log.write(RECORD) for _ in range(lines // threads)])
            for _ in range(threads)
        ]
        began = time.perf_counter()
        for writer in writers:
            writer.start()
        for writer in writers:
            writer.join()
        wrote = lines / (time.perf_counter() - began)
    began = time.perf_counter()
    found = verify(path, secret=SECRET)
    assert not found.faults and found.lines == lines // threads * threads + 2
    return wrote, found.lines / (time.perf_counter() - began)


def main(arguments: list[str] | None = None) -> None:
    """Print one line for each case."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folder", type=Path, default=Path())
    parser.add_argument("--quick", action="store_true", help="a hundredth of the lines, one round")
    given = parser.parse_args(arguments)
    folder = given.folder
    for fsync, threads, lines in CASES:
        case, rounds = (fsync, threads, max(threads, lines // 100) if given.quick else lines), []
        for _ in range(1 if given.quick else ROUNDS):
            with tempfile.TemporaryDirectory(dir=folder) as place:
                rounds.append(measured(Path(place), *case))
        written = [one[0] for one in rounds]
        print(
            f"fsync {case[0]}, {case[1]} threads: {statistics.median(written):.0f} lines/s written "
            f"[{min(written):.0f} to {max(written):.0f}], {statistics.median(one[1] for one in rounds):.0f} verified"
        )


if __name__ == "__main__":
    main()
