"""One result of a study with everything it must not travel without: n, seeds, spread, versions, engine, dtype, cost."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from clinprompt.stages.adapted import BESIDE
from clinprompt.study.archive import GangRecord
from clinprompt.study.collection import PartResult
from clinprompt.study.score_table import TRIVIAL
from clinprompt.study.table import Cell, Line


@dataclass(frozen=True, slots=True)
class Cost:
    """What a method takes per gang, means over those that are done: seconds, memory at its highest, and trained bytes
    per cell; ``None`` where it is not known."""

    trainable: int
    storage_bytes: int
    adapt_seconds: float | None
    evaluate_seconds: float | None
    peak_bytes: int | None
    gangs: int


@dataclass(frozen=True, slots=True)
class StudyLine(Line):
    """A line of a part's table, where it stands in the grid, what made it and what that took."""

    part: str = ""
    backbone: str = ""
    backbone_parameters: int = 0
    partition: str = ""
    sources: int = 0
    length: int = 0
    storage_bytes: int = 0
    adapt_seconds: float | None = None
    evaluate_seconds: float | None = None
    peak_bytes: int | None = None
    engine: str = ""
    dtype: str = ""
    device: str = ""
    versions: str = ""


def study_lines(found: PartResult) -> list[StudyLine]:
    """The lines of a part, each with what it rests on."""
    if found.result is None:
        return []
    lines, known = [], {}
    for line in (*found.result.lines, *found.result.given_heads):
        if line.method not in known:
            known[line.method] = costs(found, line.method), _records(found, line.method)
        cost, records = known[line.method]
        lines.append(
            StudyLine(
                **asdict(line),
                part=found.part.title,
                backbone=found.result.backbone_name,
                backbone_parameters=found.result.backbone_parameters,
                partition=found.part.partition,
                sources=found.part.sources,
                length=found.part.length,
                storage_bytes=cost.storage_bytes,
                adapt_seconds=cost.adapt_seconds,
                evaluate_seconds=cost.evaluate_seconds,
                peak_bytes=cost.peak_bytes,
                engine=_several(record.engine for record in records) or "none",
                dtype=_several(record.dtype for record in records),
                device=_several(record.device for record in records),
                versions=_several(map(versions_text, records)),
            )
        )
    return lines


def costs(found: PartResult, method: str) -> Cost:
    """What a method of a part takes."""
    records = _records(found, method)
    cells = [cell for cell in found.result.cells if cell.method == method] if found.result else []
    sizes = [size for cell in cells if method != TRIVIAL and (size := stored_bytes(found, cell)) is not None]
    peaks = [record.peak_bytes for record in records if record.peak_bytes is not None]
    return Cost(
        trainable=max((cell.record["trainable"] for cell in cells), default=0),
        storage_bytes=round(statistics.fmean(sizes)) if sizes else 0,
        adapt_seconds=_mean(records, "adapt"),
        evaluate_seconds=_mean(records, "evaluate"),
        peak_bytes=max(peaks, default=None),
        gangs=len(records),
    )


def file_bytes(path: Path) -> int:
    """The bytes of a cell's file or folder, with what belongs to it."""
    if path.is_dir():
        own = sum(file.stat().st_size for file in path.rglob("*") if file.is_file())
    else:
        own = path.stat().st_size
    beside = path.with_name(BESIDE)
    return own + (beside.stat().st_size if beside.is_file() and beside != path else 0)


def versions_text(record: GangRecord) -> str:
    """The versions that a gang was run with, as tables name them."""
    return " ".join(f"{name} {version}" for name, version in record.versions.items())


def stored_bytes(found: PartResult, cell: Cell) -> int | None:
    """The bytes that are kept of a cell of a part that has a result; ``None`` where nothing is."""
    assert found.result is not None
    outputs = found.result.adapted.get((cell.method, cell.seed))
    file = cell.record.get("file")
    return file_bytes(outputs / file) if outputs and file and (outputs / file).exists() else None


def _records(found: PartResult, method: str) -> list[GangRecord]:
    return [found.records[one.key] for one in found.gangs if one.gang.method == method and one.key in found.records]


def _mean(records: Sequence[GangRecord], stage: str) -> float | None:
    known = [record.seconds[stage] for record in records if stage in record.seconds]
    return statistics.fmean(known) if known else None


def _several(texts) -> str:  # type: ignore[no-untyped-def]
    return "; ".join(dict.fromkeys(filter(None, texts)))
