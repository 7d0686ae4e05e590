"""A study run gang by gang on this machine: what is done is left, what fails becomes a gap, the rest goes on."""

from __future__ import annotations

import gc
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch

from clinprompt.backbones.fingerprint import folder_fingerprint
from clinprompt.backbones.loading import resolve
from clinprompt.errors import InputError
from clinprompt.stages.cards import versions
from clinprompt.stages.configs import BackboneSettings
from clinprompt.stages.distill import FILE as METAPROMPT
from clinprompt.stages.methods import for_encoder, from_sources
from clinprompt.stages.opened import Opened, open_backbone
from clinprompt.stages.prepared import Prepared
from clinprompt.stages.progress import Progress, silent
from clinprompt.study.archive import Archive, GangRecord, Gap, PartRecord
from clinprompt.study.basis import Basis, basis, of_gang, recorded_basis
from clinprompt.study.duration import seconds_of
from clinprompt.study.expansion import Part, PlannedGang, slug
from clinprompt.study.finished import finished
from clinprompt.study.gang import GangRuns, run_gang
from clinprompt.study.gap import gap_of, now, reason_of
from clinprompt.study.ingredients import Say, make_metaprompt, prepare_all, prepare_tasks
from clinprompt.study.job import Ingredients, backbone_size, backbone_title, backbone_told
from clinprompt.study.peak import Peak
from clinprompt.study.recipe import Recipe, variant_of
from clinprompt.study.waiting import waiting
from clinprompt.training.parallel import world

Tuned = Callable[[PlannedGang, "Worker"], Recipe]
"""The recipe that a gang is run with: its part's own, or with the rate that a search has found."""
PreparedTasks = tuple[Mapping[str, Prepared], Mapping[str, Prepared], Mapping[str, Prepared]]
"""Targets, sources, and others that targets are scored on too."""


@dataclass(slots=True)
class Worker:
    """What one process keeps between gangs: the loaded backbone, and what each part starts from."""

    runs: Path
    archive: Archive
    progress: Progress = silent
    say: Say = lambda stage, text: None
    _settings: BackboneSettings | None = None
    _opened: Opened | None = None
    _prepared: dict[str, PreparedTasks] = field(default_factory=dict)
    _made: dict[str, Ingredients] = field(default_factory=dict)
    _metaprompts: dict[tuple[str, str], Ingredients] = field(default_factory=dict)
    _fingerprints: dict[str, str] = field(default_factory=dict)
    _bases: dict[str, Basis] = field(default_factory=dict)

    def opened(self, settings: BackboneSettings) -> Opened:
        """The backbone, loaded once; another one takes its place."""
        if self._opened is None or self._settings != settings:
            self._opened = None
            free_memory()
            self._opened, self._settings = open_backbone(settings), settings
            self.say("backbone", backbone_told(self._opened))
        return self._opened

    def prepared(self, part: Part) -> PreparedTasks:
        """The prepared targets, sources and others of a part; what is not there is made."""
        recipe = part.recipe
        # Parts of other prompt lengths or backbones have the same data, which is looked through once.
        given = recipe.sources and (recipe.sources.tasks, recipe.sources.exclude_overlap)
        key = repr((recipe.targets, given, recipe.others, recipe.limits, recipe.data_root))
        if key not in self._prepared:
            with waiting(self.runs / ".data.lock", what="the data of a study"):
                targets, sources = prepare_all(recipe, runs=self.runs, progress=self.progress, say=self.say)
                others = prepare_tasks(recipe.others, recipe, self.runs, self.progress, self.say)
            self._prepared[key] = targets, sources, others
        return self._prepared[key]

    def data(self, part: Part) -> Ingredients:
        """The prepared tasks of a part, and its backbone."""
        if part.slug not in self._made:
            targets, sources, others = self.prepared(part)
            opened = self.opened(part.recipe.backbone)
            title, size = backbone_title(opened), backbone_size(opened)
            made = Ingredients(targets, sources, others, part.recipe.metaprompt, None, None, title, size)
            self._record(part, made)
            self._made[part.slug] = made
        return self._made[part.slug]

    def basis(self, part: Part) -> Basis:
        """What a part rests on now; what cannot be looked at is as it was recorded.

        Data that is gone is prepared again, and a record of the part is brought up to date. No backbone is loaded.
        """
        if part.slug not in self._bases:
            before = self.archive.part(part.slug)
            try:
                tasks = self.prepared(part)
                self._bases[part.slug] = basis(*tasks, self._fingerprint(part))
                if before is not None:
                    self._write_part(part, lambda record: self._with_tasks(record, *tasks))
            except InputError as fault:
                self.say("prepare", f"{part.title}: not looked at again: {fault.what}")
                self._bases[part.slug] = recorded_basis(before, self.runs) if before else {}
        return self._bases[part.slug]

    def _fingerprint(self, part: Part) -> str:
        path = part.recipe.backbone.path
        if path not in self._fingerprints:
            self._fingerprints[path] = folder_fingerprint(resolve(path))
        return self._fingerprints[path]

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
            why = "too few examples" if cell.undrawn else "diverged"
            self.archive.add_gap(gap_of(planned, cell.failed, why, target=cell.task, shots=cell.shots, draw=cell.draw))
        record = self._gang_record(planned, recipe, found, opened, peak.bytes())
        part = basis(given.targets, given.sources, given.others, opened.backbone.fingerprint)
        record = replace(record, began=began, rests_on=of_gang(planned, part))
        if world().leads:
            self.archive.write_gang(record, planned.configuration.model_dump(mode="json"))
        return record

    def _gang_record(
        self, planned: PlannedGang, recipe: Recipe, found: GangRuns, opened: Opened, peak: int | None
    ) -> GangRecord:
        stages = {"adapt": found.adapt, "evaluate": found.evaluate}
        method = recipe.methods[planned.gang.method]
        budget = getattr(for_encoder(method) if opened.reads else method, "budget", None)
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
        """Keep what a part starts from; what other workers know of its metaprompts stays.

        Data is recorded as it is now: of a study whose targets or limits were changed the part is another one.
        """
        stages = {"teach": made.teach, "distill": made.distill}
        runs = {name: self.relative(run.path) for name, run in stages.items() if run}
        taken = {name: seconds_of(run.path) for name, run in stages.items() if run}
        seconds = {name: found for name, found in taken.items() if found is not None}

        def update(before: PartRecord) -> PartRecord:
            record = replace(
                self._with_tasks(before, made.targets, made.sources, made.others),
                backbone_name=made.backbone_name,
                backbone_parameters=made.backbone_parameters,
                backbone=self._fingerprint(part),
            )
            if variant:
                return replace(record, variants={**record.variants, variant: runs["distill"]})
            if runs:
                record = replace(record, seconds=seconds, **{"teach": "", "distill": "", **runs})
            elif part.recipe.sources is None:
                record = replace(record, seconds={}, teach="", distill="", variants={})
            path = made.metaprompt
            return replace(record, metaprompt=self.relative(path) if path else record.metaprompt * bool(record.distill))

        self._write_part(part, update)

    def _write_part(self, part: Part, update: Callable[[PartRecord], PartRecord]) -> None:
        if not world().leads:
            return
        with waiting(self.archive.folder / f".{part.slug}.part.lock", what="the record of a part"):
            before = self.archive.part(part.slug) or PartRecord("", 0)
            if (record := update(before)) != before:
                self.archive.write_part(part.slug, record)

    def _with_tasks(self, record: PartRecord, *roles: Mapping[str, Prepared]) -> PartRecord:
        if set(record.sources) != set(roles[1]):  # teachers and metaprompts of other sources are not this part's
            record = replace(record, metaprompt="", teach="", distill="", variants={}, seconds={})
        found = [{name: self.relative(item.path) for name, item in items.items()} for items in roles]
        return replace(record, **dict(zip(("targets", "sources", "others"), found, strict=True)))


def run_gangs(
    gangs: Sequence[PlannedGang], worker: Worker, *, tuned: Tuned = lambda planned, worker: planned.part.recipe
) -> tuple[list[GangRecord], list[Gap]]:
    """Run what is not done yet, in order; returns the records of all that are done, and this run's gaps of gangs."""
    done, gaps = [], []
    for place, planned in enumerate(gangs, 1):
        record = finished(planned, worker.archive, worker.runs, worker.basis(planned.part))
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
