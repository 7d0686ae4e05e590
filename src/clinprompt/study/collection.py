"""What a study has so far: the results of each part from the gangs that are done, and what is missing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from clinprompt.errors import InputError
from clinprompt.stages.divergence import Divergences, DivergenceSettings, divergence, read_divergences
from clinprompt.stages.progress import Progress, silent
from clinprompt.study.archive import Archive, GangRecord, PartRecord
from clinprompt.study.basis import basis
from clinprompt.study.expansion import Part, PlannedCell, PlannedGang, plan_gang
from clinprompt.study.finished import finished, given_of, runs_of
from clinprompt.study.gang import gangs_of, scored_cells
from clinprompt.study.ingredients import Say
from clinprompt.study.job import Ingredients, JobResult, collected
from clinprompt.study.study_file import Search


@dataclass(frozen=True, slots=True)
class PartResult:
    """A part with its gangs, the records of those that are done, and their tables; no tables without any gang.

    ``divergences`` are those of its targets from its sources, none where these are not here.
    """

    part: Part
    gangs: tuple[PlannedGang, ...]
    records: Mapping[str, GangRecord]
    result: JobResult | None
    divergences: tuple[Divergences, ...] = ()

    @property
    def missing(self) -> list[tuple[PlannedGang, PlannedCell]]:
        """The cells that have no result yet."""
        scored = set()
        if self.result is not None:
            scored = {(cell.method, cell.seed, cell.record["task"], str(cell.record["shots"]), cell.record["draw"])
                      for cell in self.result.cells}  # fmt: skip
        return [
            (planned, cell)
            for planned in self.gangs
            for cell in planned.cells
            if (planned.gang.method, planned.gang.seed, cell.target, cell.shots, cell.draw) not in scored
        ]


def collect(
    parts: Sequence[Part],
    archive: Archive,
    *,
    runs: Path,
    search: Search | None = None,
    progress: Progress = silent,
    say: Say = lambda stage, text: None,
) -> list[PartResult]:
    """The results of every part, read from finished runs; no backbone is loaded."""
    return [_collect(part, parts, archive, runs, search, progress, say) for part in parts]


def _collect(
    part: Part,
    parts: Sequence[Part],
    archive: Archive,
    runs: Path,
    search: Search | None,
    progress: Progress,
    say: Say,
) -> PartResult:
    gangs = tuple(plan_gang(part, gang, search) for gang in gangs_of(part.recipe))
    start = _start(part, parts, archive)
    if start is None or not any(archive.gang(one.key) for one in gangs):
        return PartResult(part, gangs, {}, None)
    given = given_of(start, runs)
    now = basis(given.targets, given.sources, given.others, start.backbone)
    records = {one.key: record for one in gangs if (record := finished(one, archive, runs, now)) is not None}
    if not records:
        return PartResult(part, gangs, records, None)
    cells, adapted = [], {}
    for one in gangs:
        if one.key in records:
            found = runs_of(records[one.key], runs)
            cells += scored_cells(one.gang, found)
            adapted[one.gang.method, one.gang.seed] = found.adapt / "outputs"
    say("collect", f"{part.title}: {len(records)} of {len(gangs)} gangs")
    result = collected(part.recipe, given, cells, adapted, runs=runs, progress=progress, say=say)
    if gone := [name for name in start.sources if name not in given.sources]:
        say(
            "collect",
            f"{part.title}: the prepared data of {', '.join(gone)} is gone, and no leakage from it is counted",
        )
    return PartResult(part, gangs, records, result, () if gone else _divergences(part, given, runs, progress, say))


def _divergences(part: Part, given: Ingredients, runs: Path, progress: Progress, say: Say) -> tuple[Divergences, ...]:
    """How far the targets are from the sources; nothing, and a word of it, where their texts cannot be read."""
    if not given.sources:
        return ()
    targets, sources = (tuple(item.path for item in items.values()) for items in (given.targets, given.sources))
    try:
        found = divergence(DivergenceSettings(targets=targets, sources=sources), runs=runs, progress=progress)
    except InputError as fault:
        say("divergence", f"{part.title}: not known how far the targets are from the sources: {fault.what}")
        return ()
    return tuple(read_divergences(found.outputs))


def _start(part: Part, parts: Sequence[Part], archive: Archive) -> PartRecord | None:
    """What the part started from; of a part whose gangs all belong to another one too, what that one did."""
    if (own := archive.part(part.slug)) is not None:
        return own
    for other in parts:
        same = (other.backbone, other.partition) == (part.backbone, part.partition)
        if same and (found := archive.part(other.slug)) is not None:
            return replace(found, metaprompt="", teach="", distill="", variants={})
    return None
