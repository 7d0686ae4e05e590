"""The time that a study takes, by gangs that are done or by what was measured, else unknown."""

from __future__ import annotations

import json
import shutil
import statistics
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path

from clinprompt.schema.example import Split
from clinprompt.stages import distill, teach
from clinprompt.stages.atomic import write_json
from clinprompt.stages.methods import Budget, from_sources
from clinprompt.stages.run_folder import RunFolder
from clinprompt.study.archive import Archive, GangRecord
from clinprompt.study.duration import seconds_of
from clinprompt.study.expansion import PlannedGang
from clinprompt.study.gang import run_gang
from clinprompt.study.rate import Rate, Shortened, rate_of
from clinprompt.study.recipe import Recipe, variant_of
from clinprompt.study.running import Worker
from clinprompt.study.source_stages import SourceStage, StageKind, source_stages
from clinprompt.study.variants import quickened

FILE = "measured.json"
Kind = tuple[str, str]
"""Backbone (its name in the study) and method."""


def times(
    gangs: Sequence[PlannedGang],
    archive: Archive,
    measured: Mapping[Kind, Rate],
    *,
    done: Mapping[str, bool],
    there: Mapping[str, int],
) -> dict[str, tuple[float, str]]:
    """By key of a gang that is not ``done`` the seconds it may take and what that rests on.

    Of a gang of which so many cells are ``there`` already it is the share of the others.
    The mean of what gangs of the same part and method took, which differ in their seed only, goes before what was
    measured, to which the first seed adds what a search is still to try; without either there is no entry. A record
    tells the time also when the folders of its runs are gone.
    """
    taken: dict[tuple[str, str], list[GangRecord]] = {}
    for planned in gangs:
        if record := archive.gang(planned.key):
            taken.setdefault((planned.part.title, planned.gang.method), []).append(record)
    found = {}
    for planned in gangs:
        if done[planned.key]:
            continue
        same = [
            record for record in taken.get((planned.part.title, planned.gang.method), ()) if len(record.seconds) == 2
        ]
        rate = measured.get((planned.part.backbone, planned.gang.method))
        left = 1 - there[planned.key] / len(planned.cells)
        if same:
            mean = statistics.fmean(sum(record.seconds.values()) for record in same)
            found[planned.key] = (left * mean, f"{len(same)} finished gang(s)")
        elif rate is not None:
            budget = getattr(planned.part.recipe.methods[planned.gang.method], "budget", None)
            if (examples := examples_of(planned, archive)) is not None:
                searched = _search_left(planned, archive) * rate.of(budget)
                found[planned.key] = (left * rate.of(budget, examples) + searched, "measured")
    return found


def _search_left(planned: PlannedGang, archive: Archive) -> int:
    """How many trainings a search adds to a gang: of the first seed all trials but the best, which it goes on with."""
    search = planned.configuration.search
    if search is None or planned.gang.seed != planned.part.recipe.seeds[0]:
        return 0
    return 0 if archive.search_file(planned.key).is_file() else search.trials - 1


def examples_of(planned: PlannedGang, archive: Archive) -> int | None:
    """How many examples the cells of a gang are scored on, all together; ``None`` before the data is prepared."""
    content = read_measured_sizes(archive.folder)
    score = planned.part.recipe.score
    sizes = [content.get(f"{planned.part.slug}/{cell.target}/{score.part}") for cell in planned.cells]
    known = [min(size, score.limit or size) for size in sizes if size is not None]
    return sum(known) if len(known) == len(sizes) else None


def measure(gangs: Iterable[PlannedGang], worker: Worker) -> None:
    """Run a few steps of the first gang of each backbone and method, in a folder that is removed afterwards.

    So are teachers and metaprompts of each backbone and variant, with all sources. What is found is written down beside
    the study.
    """
    scratch = worker.archive.folder / ".measuring"
    found: dict[Kind, Rate] = {}
    stages: dict[StageKind, Rate] = {}
    made: dict[Hashable, Rate] = {}
    sizes: dict[str, int] = {}
    trial = Worker(scratch, Archive(scratch), worker.progress, worker.say)
    try:
        for planned in gangs:
            part, own = planned.part, planned.part.recipe.methods[planned.gang.method]
            for name, item in trial.data(part).targets.items():
                split = part.recipe.score.part
                sizes.setdefault(f"{part.slug}/{name}/{split}", len(item.part(Split(split))))
            if from_sources(own) and part.recipe.sources and part.recipe.metaprompt is None:
                for stage in source_stages(part, variant_of(own)):
                    if stage.kind in stages:
                        continue
                    if stage.seen not in made:  # variants may have the same teachers
                        worker.say("measure", f"{part.title}: {stage.stage} {stage.variant}".rstrip())
                        made[stage.seen] = _stage_rate(stage, trial)
                    stages[stage.kind] = made[stage.seen]
            kind = (part.backbone, planned.gang.method)
            if kind not in found:
                worker.say("measure", f"{part.title}: {planned.gang.method}")
                found[kind] = _rate(planned, trial)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    rates = {name: {"\t".join(kind): asdict(rate) for kind, rate in of.items()} for name, of in
             (("rates", found), ("stages", stages))}  # fmt: skip
    write_json(worker.archive.folder / FILE, {**rates, "sizes": sizes})


def read_measured(folder: Path) -> dict[Kind, Rate]:
    """What was measured of the methods of a study before."""
    rates = _content(folder).get("rates", {})
    return {(name.split("\t")[0], name.split("\t")[1]): Rate(**rate) for name, rate in rates.items()}


def read_measured_stages(folder: Path) -> dict[StageKind, Rate]:
    """What was measured of its teachers and metaprompts, for one prompt."""
    rates = _content(folder).get("stages", {})
    kinds = {name: name.split("\t") for name in rates}
    return {(kind[0], kind[1], kind[2]): Rate(**rates[name]) for name, kind in kinds.items()}


def read_measured_sizes(folder: Path) -> dict[str, int]:
    """How many examples each part of each target has, as far as it was looked at."""
    return _content(folder).get("sizes", {})


def _content(folder: Path) -> dict:
    file = folder / FILE
    return json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}


def _rate(planned: PlannedGang, trial: Worker) -> Rate:
    """Of a gang, with two examples scored per cell."""
    budget = getattr(planned.part.recipe.methods[planned.gang.method], "budget", None)
    return rate_of(budget, lambda short: _taken(planned, trial, short))


def _stage_rate(stage: SourceStage, trial: Worker) -> Rate:
    """Of one prompt of the stage: a teacher among all of them, or the metaprompt."""

    def taken(short: Shortened | None) -> tuple[float, float]:
        run = _made(stage, trial, short or {})
        prompts = len(stage.tasks) if stage.stage == teach.STAGE else 1
        return (seconds_of(run.path) or 0.0) / prompts, 0.0

    return rate_of(stage.settings.budget, taken)


def _made(stage: SourceStage, trial: Worker, short: Shortened) -> RunFolder:
    given, settings = trial.data(stage.part), stage.settings
    opened = trial.opened(stage.part.recipe.backbone)
    paths: dict[str, object] = {"sources": tuple(item.path for item in given.sources.values())}
    if stage.teachers is not None:
        few = SourceStage(stage.part, stage.variant, teach.STAGE, stage.teachers)
        paths["teachers"] = _made(few, trial, {"steps": 2, "dev_every": 2}).path
    whole = settings.model_copy(update={"budget": settings.budget.model_copy(update=dict(short)), **paths})
    if isinstance(whole, teach.TeachSettings):
        return teach.teach(whole, runs=trial.runs, opened=opened, progress=trial.progress)
    return distill.distill(whole, runs=trial.runs, opened=opened, progress=trial.progress)


def _taken(planned: PlannedGang, trial: Worker, budget: Mapping[str, int] | None) -> tuple[float, float]:
    """Seconds of adapting, and of scoring one example, with this much training."""
    part, gang = planned.part, planned.gang
    recipe = shortened(part.recipe, gang.method, budget)
    given = trial.data(part)
    if from_sources(recipe.methods[gang.method]) and given.metaprompt is None:
        quick = Budget(steps=2, batch=2, dev_limit=2)
        sources = recipe.sources and quickened(recipe.sources, quick)
        part = replace(part, recipe=recipe.model_copy(update={"sources": sources}))
        given = trial.ingredients(part, sources=True, variant=variant_of(recipe.methods[gang.method]))
    found = run_gang(
        recipe.model_copy(update={"across": {}}),
        gang,
        targets=given.targets,
        others={},
        metaprompt=given.metaprompt,
        teachers=given.teachers,
        runs=trial.runs,
        opened=trial.opened(recipe.backbone),
        progress=trial.progress,
        say=lambda stage, text: None,
    )
    scored = sum(min(2, len(item.part(Split(recipe.score.part)))) for item in given.targets.values())
    scored *= max(1, len(planned.cells) // max(1, len(given.targets)))
    return seconds_of(found.adapt) or 0.0, (seconds_of(found.evaluate) or 0.0) / max(1, scored)


def shortened(recipe: Recipe, name: str, budget: Mapping[str, int] | None) -> Recipe:
    """A recipe with a shorter budget of one method, and two examples scored."""
    own = recipe.methods[name]
    if budget is not None:
        own = own.model_copy(update={"budget": own.budget.model_copy(update=dict(budget))})
    score = recipe.score.model_copy(update={"limit": 2, "resamples": 100})
    return recipe.model_copy(update={"methods": recipe.methods | {name: own}, "score": score})
