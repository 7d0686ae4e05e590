"""A study run gang by gang on this machine: what is done is left, what fails becomes a gap, the rest goes on."""

from __future__ import annotations

import gc
import json
import os
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

import torch

from clinprompt.errors import InputError
from clinprompt.stages.cards import versions
from clinprompt.stages.configs import BackboneSettings
from clinprompt.stages.distill import FILE as METAPROMPT
from clinprompt.stages.methods import from_sources
from clinprompt.stages.opened import Opened, open_backbone
from clinprompt.stages.prepared import open_prepared
from clinprompt.stages.progress import Progress, silent
from clinprompt.stages.run_folder import RunFolder
from clinprompt.study.archive import Archive, GangRecord, Gap, PartRecord
from clinprompt.study.expansion import Part, PlannedGang, slug
from clinprompt.study.gang import GangRuns, pairs_of, run_gang
from clinprompt.study.ingredients import Say, make_metaprompt, prepare_all, prepare_tasks
from clinprompt.study.job import Ingredients, backbone_size, backbone_title, backbone_told
from clinprompt.study.peak import Peak
from clinprompt.study.recipe import Recipe, variant_of
from clinprompt.study.waiting import waiting
from clinprompt.training.parallel import world

Tuned = Callable[[PlannedGang, "Worker"], Recipe]
"""The recipe that a gang is run with: its part's own, or with the rate that a search has found."""


@dataclass(slots=True)
class Worker:
    """What one process keeps between gangs: the loaded backbone, and what each part starts from."""

    runs: Path
    archive: Archive
    progress: Progress = silent
    say: Say = lambda stage, text: None
    _settings: BackboneSettings | None = None
    _opened: Opened | None = None
    _made: dict[str, Ingredients] = field(default_factory=dict)
    _metaprompts: dict[tuple[str, str], Ingredients] = field(default_factory=dict)

    def opened(self, settings: BackboneSettings) -> Opened:
        """The backbone, loaded once; another one takes its place."""
        if self._opened is None or self._settings != settings:
            self._opened = None
            free_memory()
            self._opened, self._settings = open_backbone(settings), settings
            self.say("backbone", backbone_told(self._opened))
        return self._opened

    def data(self, part: Part) -> Ingredients:
        """The prepared tasks of a part."""
        if part.slug not in self._made:
            recipe = part.recipe
            with waiting(self.runs / ".data.lock", what="the data of a study"):
                targets, sources = prepare_all(recipe, runs=self.runs, progress=self.progress, say=self.say)
                names = [*dict.fromkeys(other for _, other in pairs_of(recipe))]
                others = prepare_tasks(names, recipe, self.runs, self.progress, self.say) if names else {}
            opened = self.opened(recipe.backbone)
            title, size = backbone_title(opened), backbone_size(opened)
            made = Ingredients(targets, sources, others, recipe.metaprompt, None, None, title, size)
            self._record(part, made)
            self._made[part.slug] = made
        return self._made[part.slug]

    def ingredients(self, part: Part, *, sources: bool, variant: str = "") -> Ingredients:
        """What a gang of the part starts from; teachers and metaprompt are made when asked for and not there.

        They are those of a ``variant`` of the sources where one is named.
        """
        made, key = self.data(part), (part.slug, variant)
        if not sources or made.metaprompt is not None:
            return made
        if key in self._metaprompts:
            return self._metaprompts[key]
        lock = self.runs / f".{slug(part.recipe.backbone.path)}.sources.lock"
        with waiting(lock, what="the metaprompt of a study"):
            opened = self.opened(part.recipe.backbone)
            taught, distilled = make_metaprompt(
                part.recipe, made.sources, variant=variant, runs=self.runs, opened=opened, progress=self.progress,
                say=self.say,
            )  # fmt: skip
            metaprompt = distilled and distilled.outputs / METAPROMPT
            found = replace(made, metaprompt=metaprompt, teach=taught, distill=distilled)
            self._record(part, found, variant)
        self._metaprompts[key] = found
        return found

    def run(self, planned: PlannedGang, recipe: Recipe) -> GangRecord:
        """Run one gang and keep its record; the gaps of cells that could not be trained are kept too."""
        method = recipe.methods[planned.gang.method]
        given = self.ingredients(planned.part, sources=from_sources(method), variant=variant_of(method))
        opened = self.opened(recipe.backbone)
        began, peak = now(), Peak(opened.backbone.device)
        found = run_gang(
            recipe,
            planned.gang,
            targets=given.targets,
            others=given.others,
            metaprompt=given.metaprompt,
            teachers=given.teachers,
            runs=self.runs,
            opened=opened,
            progress=self.progress,
            say=self.say,
        )
        for cell in found.lost:
            self.archive.add_gap(
                gap_of(planned, cell.failed, "diverged", target=cell.task, shots=cell.shots, draw=cell.draw)
            )
        record = replace(self._gang_record(planned, recipe, found, opened, peak.bytes()), began=began)
        if world().leads:
            self.archive.write_gang(record, planned.configuration.model_dump(mode="json"))
        return record

    def _gang_record(
        self, planned: PlannedGang, recipe: Recipe, found: GangRuns, opened: Opened, peak: int | None
    ) -> GangRecord:
        stages = {"adapt": found.adapt, "evaluate": found.evaluate}
        budget = getattr(recipe.methods[planned.gang.method], "budget", None)
        return GangRecord(
            key=planned.key,
            part=planned.part.title,
            method=planned.gang.method,
            seed=planned.gang.seed,
            adapt=self.relative(found.adapt),
            evaluate=self.relative(found.evaluate),
            elsewhere=tuple((*pair, self.relative(path)) for pair, path in found.elsewhere.items()),
            seconds={name: taken for name, path in stages.items() if (taken := seconds_of(path)) is not None},
            peak_bytes=peak,
            device=device_name(opened.backbone.device),
            engine="clinprompt, local",
            dtype=", ".join(
                filter(None, (recipe.backbone.dtype, *_other_than("none", "autocast", recipe.backbone.autocast),
                              *_other_than("full", "weights", recipe.backbone.weights)))
            ),
            versions=versions(),
            rates=budget.rates if budget else (),
        )  # fmt: skip

    def relative(self, path: Path) -> str:
        """A path as the records keep it: relative to the folder of runs."""
        return Path(os.path.relpath(path.resolve(), self.runs.resolve())).as_posix()

    def _record(self, part: Part, made: Ingredients, variant: str = "") -> None:
        """Keep what a part starts from beside what other workers know of it; data alone adds nothing to a record."""
        if not world().leads:
            return
        with waiting(self.archive.folder / f".{part.slug}.part.lock", what="the record of a part"):
            before = self.archive.part(part.slug)
            if variant:
                assert before is not None and made.distill is not None  # the data was recorded first
                names = {**before.variants, variant: self.relative(made.distill.path)}
                record = replace(before, variants=names)
            elif before is not None and made.teach is None and made.distill is None:
                return
            else:
                record = self._part_record(made, before.variants if before else {})
            self.archive.write_part(part.slug, record)

    def _part_record(self, made: Ingredients, variants: Mapping[str, str]) -> PartRecord:
        stages = {"teach": made.teach, "distill": made.distill}
        return PartRecord(
            backbone_name=made.backbone_name,
            backbone_parameters=made.backbone_parameters,
            targets={name: self.relative(item.path) for name, item in made.targets.items()},
            sources={name: self.relative(item.path) for name, item in made.sources.items()},
            others={name: self.relative(item.path) for name, item in made.others.items()},
            metaprompt=self.relative(made.metaprompt) if made.metaprompt else "",
            teach=self.relative(made.teach.path) if made.teach else "",
            distill=self.relative(made.distill.path) if made.distill else "",
            variants=variants,
            seconds={n: taken for n, run in stages.items() if run and (taken := seconds_of(run.path)) is not None},
        )


def run_gangs(
    gangs: Sequence[PlannedGang], worker: Worker, *, tuned: Tuned = lambda planned, worker: planned.part.recipe
) -> tuple[list[GangRecord], list[Gap]]:
    """Run what is not done yet, in order; returns the records of all that are done, and this run's gaps of gangs."""
    done, gaps = [], []
    for place, planned in enumerate(gangs, 1):
        record = finished(planned, worker.archive, worker.runs)
        title = f"{place} of {len(gangs)}: {planned.part.title}: {planned.gang.method}, seed {planned.gang.seed}"
        if record is None:
            worker.say("gang", title)
            try:
                record = worker.run(planned, tuned(planned, worker))
            except Exception as error:  # an interrupt is none and stops the study
                gaps.append(gap_of(planned, *reason_of(error)))
                worker.archive.add_gap(gaps[-1])
                worker.say("gap", str(gaps[-1]))
                free_memory()
                continue
        done.append(record)
    return done, gaps


def finished(planned: PlannedGang, archive: Archive, runs: Path) -> GangRecord | None:
    """The record of a gang that is done and whose runs are still there."""
    record = archive.gang(planned.key)
    if record is None:
        return None
    paths = (record.adapt, record.evaluate, *(path for *_, path in record.elsewhere))
    return record if all((runs / path / "done.json").is_file() for path in paths) else None


def runs_of(record: GangRecord, runs: Path) -> GangRuns:
    """The run folders of a finished gang."""
    elsewhere = {(target, other): runs / path for target, other, path in record.elsewhere}
    return GangRuns(runs / record.adapt, runs / record.evaluate, elsewhere)


def given_of(record: PartRecord, runs: Path) -> Ingredients:
    """What a part started from, opened from its record without loading a backbone."""

    def opened(paths: object) -> dict:
        return {name: open_prepared(runs / path) for name, path in dict(paths).items()}  # type: ignore[call-overload]

    def done(path: str) -> RunFolder | None:
        return RunFolder(runs / path, state="done", lock=None, processes=world()) if path else None

    return Ingredients(
        opened(record.targets), opened(record.sources), opened(record.others),
        runs / record.metaprompt if record.metaprompt else None, done(record.teach), done(record.distill),
        record.backbone_name, record.backbone_parameters,
    )  # fmt: skip


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


def seconds_of(run: Path) -> float | None:
    """The seconds that a finished run took; ``None`` when it was interrupted, so that they are not all of them."""
    done, environment = run / "done.json", run / "environment.json"
    if not done.is_file() or len(json.loads(environment.read_text(encoding="utf-8"))["sessions"]) != 1:
        return None
    return float(json.loads(done.read_text(encoding="utf-8"))["seconds"])


def device_name(device: torch.device) -> str:
    """A device as tables name it."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else device.type


def free_memory() -> None:
    """Give back what a failed gang or another backbone left."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def _other_than(usual: str, name: str, value: str) -> list[str]:
    return [] if value == usual else [f"{name} {value}"]
