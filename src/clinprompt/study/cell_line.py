"""One cell of a study as a row: its key, where it stands in the grid, its score, and all that it rests on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from clinprompt.study.archive import GangRecord
from clinprompt.study.collection import PartResult
from clinprompt.study.expansion import PlannedGang
from clinprompt.study.gang import across_name, pairs_of
from clinprompt.study.given_heads import given_heads
from clinprompt.study.study_line import stored_bytes, versions_text
from clinprompt.study.table import Cell

_FINE = {"digits": 8}
_LOSS = {"digits": 4}


@dataclass(frozen=True, slots=True)
class CellLine:
    """A scored cell; ``score`` and its interval over documents are of this one run, in percent.

    ``key`` is the hash of the cell's whole configuration, ``gang`` that of its gang, whose configuration lies under
    that name. ``target`` is what was trained on and ``scored`` what was scored, which differ with ``across`` alone.
    ``steps`` is the budget and ``rate`` the learning rate that was chosen of those ``tried``. What a cell does not have
    is empty. Seconds and ``peak_bytes`` are of the gang, ``storage_bytes`` of the cell; ``adapt`` and ``evaluate`` are
    the runs, relative to their folder. ``leakage`` is that of the line of the table that the cell is part of.
    """

    key: str
    gang: str
    part: str
    backbone: str
    backbone_parameters: int
    partition: str
    sources: int
    length: int
    method: str
    trains: str
    target: str
    scored: str
    kind: str
    group: str
    shots: str
    draw: int
    seed: int
    metric: str
    score: float
    low: float
    high: float
    n: int
    documents: int
    unreadable: float
    unlocated: float
    leakage: int
    train_examples: int
    trainable: int
    steps: int | None
    rate: float | None = field(metadata=_FINE)
    tried: str
    loss: float | None = field(metadata=_LOSS)
    dev_loss: float | None = field(metadata=_LOSS)
    shown: int | None
    source: str
    storage_bytes: int | None
    gang_adapt_seconds: float | None
    gang_evaluate_seconds: float | None
    gang_peak_bytes: int | None
    engine: str
    dtype: str
    device: str
    versions: str
    adapt: str
    evaluate: str


def cell_lines(found: PartResult) -> list[CellLine]:
    """The cells of a part that have a score, gang by gang; those of relations given the heads stand at the end.

    A cell that is scored elsewhere too, or given the heads, has a row for each; all have the key of what was trained.
    """
    if found.result is None:
        return []
    gangs = {(one.gang.method, one.gang.seed): one for one in found.gangs if one.key in found.records}
    leakage = {(line.method, line.target, line.shots): line.leakage for line in found.result.lines}
    elsewhere = {across_name(*pair): pair for pair in pairs_of(found.part.recipe)}
    cells = [cell for cell in found.result.cells if (cell.method, cell.seed) in gangs]
    lines = []
    for cell in (*cells, *given_heads(cells)):
        task = cell.record["task"]
        seen = leakage.get((cell.method, task, str(cell.record["shots"])), 0)
        planned = gangs[cell.method, cell.seed]
        lines.append(_line(found, planned, cell, names=elsewhere.get(task, (task, task)), leakage=seen))
    return lines


def _line(found: PartResult, planned: PlannedGang, cell: Cell, *, names: tuple[str, str], leakage: int) -> CellLine:
    """The row of a cell; ``names`` are what was trained on and what was scored."""
    assert found.result is not None
    record, gang, part = cell.record, found.records[planned.key], found.part
    target, scored = names
    shots, score, report = str(record["shots"]), record["scores"][0], record["report"]
    method = part.recipe.methods[cell.method]
    return CellLine(
        key=next(
            one.key for one in planned.cells if (one.target, one.shots, one.draw) == (target, shots, record["draw"])
        ),
        gang=planned.key,
        part=part.title,
        backbone=found.result.backbone_name,
        backbone_parameters=found.result.backbone_parameters,
        partition=part.partition,
        sources=part.sources,
        length=part.length,
        method=cell.method,
        trains=method.kind,
        target=target,
        scored=scored,
        kind=record["kind"],
        group=record["group"],
        shots=shots,
        draw=record["draw"],
        seed=cell.seed,
        metric=f"{score['metric']} {record.get('heads', '')}".strip(),
        score=score["value"],
        low=score["low"],
        high=score["high"],
        n=score["n"],
        documents=score["groups"],
        unreadable=100.0 * report["unreadable"] / score["n"],
        unlocated=100.0 * report["unlocated"] / score["n"],
        leakage=leakage,
        train_examples=record["train_examples"],
        trainable=record["trainable"],
        steps=budget.steps if (budget := getattr(method, "budget", None)) else None,
        rate=record["rate"],
        tried=" ".join(f"{rate:g}" for rate in gang.rates),
        loss=record["loss"],
        dev_loss=record["dev_loss"],
        shown=record.get("shown"),
        source=record.get("source", ""),
        storage_bytes=stored_bytes(found, cell),
        gang_adapt_seconds=gang.seconds.get("adapt"),
        gang_evaluate_seconds=gang.seconds.get("evaluate"),
        gang_peak_bytes=gang.peak_bytes,
        engine=gang.engine,
        dtype=gang.dtype,
        device=gang.device,
        versions=versions_text(gang),
        adapt=gang.adapt,
        evaluate=_evaluate(gang, target, scored),
    )


def _evaluate(gang: GangRecord, target: str, scored: str) -> str:
    there: Sequence[str] = [path for one, other, path in gang.elsewhere if (one, other) == (target, scored)]
    return next(iter(there), gang.evaluate)
