"""What a study makes of its sources before gangs start from it: teachers and metaprompts, done and left."""

from __future__ import annotations

import json
import statistics
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from clinprompt.stages import distill, teach
from clinprompt.stages.atomic import plain
from clinprompt.stages.configs import DistillSettings, PrepareSettings, TeachSettings
from clinprompt.stages.earlier import DAMAGED, decisive, settings_of
from clinprompt.stages.methods import from_sources
from clinprompt.study.duration import seconds_of
from clinprompt.study.expansion import Part, PlannedGang
from clinprompt.study.rate import Rate
from clinprompt.study.recipe import Recipe, task_name, variant_of
from clinprompt.study.variants import distill_settings, distils, teach_settings, teaches

StageKind = tuple[str, str, str]
"""Backbone (its name in the study), variant of the sources and stage (``teach`` or ``distill``)."""
StageSettings = TeachSettings | DistillSettings
FOLDERS = ("sources", "teachers")
"""The settings that say where sources and teachers lie."""


@dataclass(frozen=True, slots=True)
class SourceStage:
    """Teachers of a part or a metaprompt of it (``stage`` is ``teach`` or ``distill``), for a variant of its sources.

    The ``settings`` have the names of the sources where a run has folders; those of the teachers come with a metaprompt
    that is made with teachers.
    """

    part: Part
    variant: str
    stage: str
    settings: StageSettings
    teachers: TeachSettings | None = None

    @property
    def tasks(self) -> tuple[str, ...]:
        """The names of the sources."""
        return tuple(path.name for path in self.settings.sources)

    @property
    def kind(self) -> StageKind:
        """What is measured once."""
        return self.part.backbone, self.variant, self.stage

    @property
    def seen(self) -> tuple[Any, ...]:
        """All that decides what comes out: stages of several parts with the same are run once."""
        return self.settings, self.teachers, _data(self.part.recipe)


@dataclass(frozen=True, slots=True)
class StageLine:
    """A stage of the sources: how many prompts it makes, how many are there, and what the others take.

    Nothing is ``left`` where no gang that is left needs it. ``seconds`` is ``None`` where it is not known; so is
    ``memory``, in bytes, of metaprompts.
    """

    part: str
    variant: str
    stage: str
    prompts: int
    there: int
    left: int
    steps: int
    rates: int
    seconds: float | None
    rests_on: str
    memory: int | None


def source_stages(part: Part, variant: str) -> Iterator[SourceStage]:
    """The stages that make what the methods of a part with this variant start from, in order."""
    recipe = part.recipe
    assert recipe.sources is not None
    names = tuple(Path(task_name(name)) for name in recipe.sources.tasks)
    taught = teach_settings(recipe, variant, sources=names)
    if teaches(recipe, variant):
        yield SourceStage(part, variant, teach.STAGE, taught)
    if distils(recipe, variant):
        settings = distill_settings(recipe, variant, sources=names, teachers=Path(teach.STAGE))
        yield SourceStage(part, variant, distill.STAGE, settings, taught if settings.teachers else None)


def stage_lines(
    gangs: Iterable[PlannedGang],
    runs: Path,
    measured: Mapping[StageKind, Rate],
    *,
    done: Mapping[str, bool],
    memory: Callable[[TeachSettings], int],
) -> list[StageLine]:
    """What the gangs of a study need of their sources, each stage once; ``done`` is by the key of a gang.

    Of teachers those count as there that a finished run in the folder of ``runs`` has with the same settings and data,
    or a part before this one makes. What data and backbone hold now is not looked at: a run does that. The time is the
    mean of finished runs with these settings, for whichever sources, or else rests on what was ``measured``.
    """
    stages: dict[tuple[Any, ...], SourceStage] = {}
    needed: dict[tuple[Any, ...], bool] = {}
    for planned in gangs:
        recipe, method = planned.part.recipe, planned.part.recipe.methods[planned.gang.method]
        if recipe.sources is None or recipe.metaprompt is not None or not from_sources(method):
            continue
        for stage in source_stages(planned.part, variant_of(method)):
            stages.setdefault(stage.seen, stage)
            needed[stage.seen] = needed.get(stage.seen, False) or not done[planned.key]
    finished = {name: list(_finished(runs, name)) for name in (teach.STAGE, distill.STAGE)}
    before: dict[Any, set[str]] = {}
    lines = []
    for stage in stages.values():
        same = [one for one in finished[stage.stage] if one.settings == _bare(stage.settings)]
        if stage.stage == teach.STAGE:
            made_before = before.setdefault((repr(_bare(stage.settings)), _data(stage.part.recipe)), set())
            found = {task for one in same for task in one.tasks if one.read(task, stage.part.recipe, runs)}
            prompts, there = len(stage.tasks), len((found | made_before) & set(stage.tasks))
            made_before.update(stage.tasks if needed[stage.seen] else ())
        else:
            prompts, there = 1, int(any(_whole(one, stage, runs) for one in same))
        left = (prompts - there) * needed[stage.seen]
        seconds, rests_on = _time(stage, same, measured.get(stage.kind)) if left else (0.0, "")
        settings = stage.settings
        lines.append(StageLine(
            stage.part.title, stage.variant, stage.stage, prompts, there, left, settings.budget.steps,
            len(settings.budget.rates), None if seconds is None else left * seconds, rests_on,
            memory(settings) if isinstance(settings, TeachSettings) else None,
        ))  # fmt: skip
    return lines


def _time(stage: SourceStage, same: Sequence[_Finished], rate: Rate | None) -> tuple[float | None, str]:
    """Seconds of one prompt of the stage and what they rest on."""
    known = [seconds / one.prompts for one in same if (seconds := seconds_of(one.path)) is not None]
    if known:
        return statistics.fmean(known), f"{len(known)} run(s)"
    return (None, "") if rate is None else (rate.of(stage.settings.budget), "measured")


@dataclass(frozen=True, slots=True)
class _Finished:
    """A finished run of one of the two stages: its settings but for the sources, and these by name."""

    path: Path
    settings: Mapping[str, Any]
    tasks: tuple[str, ...]
    prompts: int
    inputs: Mapping[str, Any]

    def read(self, task: str, recipe: Recipe, runs: Path) -> bool:
        """Whether it read a source as a recipe prepares it."""
        assert recipe.sources is not None
        given = {task_name(name): name for name in recipe.sources.tasks}
        try:
            settings = settings_of(runs / self.inputs[task]["path"])
            apart = {settings_of(Path(path))["task"] for path in settings.pop("apart_from", ())}
        except DAMAGED:
            return False
        same = _prepared(given[task], recipe) == settings if task in given else False
        return same and apart == set(recipe.targets if recipe.sources.exclude_overlap else ())


def _finished(runs: Path, stage: str) -> Iterator[_Finished]:
    version = {teach.STAGE: teach.VERSION, distill.STAGE: distill.VERSION}[stage]
    for path in sorted((runs / stage).glob("[!.]*")):
        try:
            summary = json.loads((path / "done.json").read_text(encoding="utf-8"))["summary"]
            entries = json.loads((path / "inputs.json").read_text(encoding="utf-8"))
            taught = stage == teach.STAGE
            tasks = tuple(summary["teachers" if taught else "tasks"])
            if entries["version"] == version:
                settings = decisive(settings_of(path), apart=FOLDERS)
                yield _Finished(path, settings, tasks, len(tasks) if taught else 1, entries["inputs"])
        except DAMAGED:
            continue


def _whole(one: _Finished, stage: SourceStage, runs: Path) -> bool:
    """Whether a finished metaprompt is that of the stage: of the same sources, and of such teachers."""
    if one.tasks != stage.tasks or not all(one.read(task, stage.part.recipe, runs) for task in one.tasks):
        return False
    if stage.teachers is None:
        return True
    try:
        return decisive(settings_of(runs / one.inputs["teachers"]["path"]), apart=FOLDERS) == _bare(stage.teachers)
    except DAMAGED:
        return False


def _data(recipe: Recipe) -> tuple[Any, ...]:
    """What decides, beside a source's name, what is read of it."""
    apart = recipe.targets if recipe.sources and recipe.sources.exclude_overlap else ()
    return recipe.data_root, tuple(recipe.limits.items()), apart


def _prepared(name: str, recipe: Recipe) -> dict[str, Any]:
    settings = PrepareSettings(task=name, data_root=recipe.data_root, limits=recipe.limits)
    return dict(plain(settings.model_dump(mode="json")))


def _bare(settings: StageSettings) -> dict[str, Any]:
    return decisive(plain(settings.model_dump(mode="json")), apart=FOLDERS)
