"""A gang: one method with one seed on every target, shot count and draw of a recipe, adapted and scored."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from clinprompt.stages.adapt import adapt
from clinprompt.stages.adapted import Adapted, cell_key, read_adapted
from clinprompt.stages.configs import AdaptSettings, EvaluateSettings
from clinprompt.stages.earlier import told_taken
from clinprompt.stages.evaluate import evaluate
from clinprompt.stages.methods import from_metaprompt, from_teachers
from clinprompt.stages.opened import Opened
from clinprompt.stages.prepared import Prepared
from clinprompt.stages.progress import Progress
from clinprompt.stages.scores import read_scores
from clinprompt.study.group_table import ACROSS
from clinprompt.study.ingredients import Say
from clinprompt.study.recipe import Recipe, task_name
from clinprompt.study.table import Cell
from clinprompt.study.variants import unnamed


@dataclass(frozen=True, slots=True)
class Gang:
    """A method's name and seed."""

    method: str
    seed: int


@dataclass(frozen=True, slots=True)
class GangRuns:
    """The finished runs of a gang: adapt, evaluate, and evaluate elsewhere by target and place."""

    adapt: Path
    evaluate: Path
    elsewhere: Mapping[tuple[str, str], Path] = field(default_factory=dict)

    @property
    def lost(self) -> list[Adapted]:
        """The cells that could not be trained."""
        return [cell for cell in read_adapted(self.adapt / "outputs") if cell.failed]


def gangs_of(recipe: Recipe) -> list[Gang]:
    """The gangs of a recipe, method by method; the bare instruction, which no seed changes, has the first only."""
    return [
        Gang(name, seed)
        for name, method in recipe.methods.items()
        for seed in (recipe.seeds if method.kind != "instruction" else recipe.seeds[:1])
    ]


def shots_of(recipe: Recipe, gang: Gang) -> tuple[int | Literal["full"], ...]:
    """The shot counts of a gang: those of the recipe, 0 for the bare instruction."""
    return recipe.shots if recipe.methods[gang.method].kind != "instruction" else (0,)


def first_draw(recipe: Recipe, gang: Gang) -> int:
    """The number of a gang's first few-shot draw; with ``own_draws`` the seed's own, whichever others there are."""
    drawn = any(count not in ("full", 0) for count in shots_of(recipe, gang))
    return (gang.seed - 1) * recipe.draws if recipe.own_draws and drawn else 0


def adapt_settings(
    recipe: Recipe, gang: Gang, targets: Mapping[str, Prepared], *, metaprompt: Path | None, teachers: Path | None
) -> AdaptSettings:
    """What the adapt stage is asked for by a gang."""
    method = recipe.methods[gang.method]
    return AdaptSettings(
        backbone=recipe.backbone,
        targets=tuple(item.path for item in targets.values()),
        method=unnamed(method),
        metaprompt=metaprompt if from_metaprompt(method) else None,
        teachers=teachers if from_teachers(method) else None,
        prompt=recipe.prompt,
        shots=shots_of(recipe, gang),
        draws=recipe.draws,
        first_draw=first_draw(recipe, gang),
        seed=gang.seed,
    )


def run_gang(
    recipe: Recipe,
    gang: Gang,
    *,
    targets: Mapping[str, Prepared],
    others: Mapping[str, Prepared],
    metaprompt: Path | None,
    teachers: Path | None,
    runs: Path,
    opened: Opened,
    progress: Progress,
    say: Say,
) -> GangRuns:
    """Adapt a gang and score it; finished stages are reused, interrupted ones resumed.

    ``others`` are the prepared tasks that targets are scored on too; the ``metaprompt`` and the run that made the
    ``teachers`` are needed by methods that start from them only.
    """
    opened.check_decoding(recipe.score.decoding)
    settings = adapt_settings(recipe, gang, targets, metaprompt=metaprompt, teachers=teachers)
    shown = ", ".join(str(count) for count in settings.shots)
    say("adapt", f"{gang.method}, seed {gang.seed}: {len(targets)} targets, shots {shown}, {recipe.draws} draw(s)")
    run = adapt(settings, runs=runs, opened=opened, progress=progress)
    for line in told_taken(run.summary()):
        say("adapt", f"{gang.method}, seed {gang.seed}: {line}")
    scoring = EvaluateSettings(
        backbone=recipe.backbone, adapted=run.path, targets=settings.targets, **recipe.score.model_dump()
    )
    scored = evaluate(scoring, runs=runs, opened=opened, progress=progress)
    elsewhere = {}
    for target, other in pairs_of(recipe):
        there = scoring.model_copy(update={"elsewhere": {target: others[other].path}})
        elsewhere[target, other] = evaluate(there, runs=runs, opened=opened, progress=progress).path
    found = GangRuns(run.path, scored.path, elsewhere)
    for cell in found.lost:
        say("adapt", f"{gang.method}, seed {gang.seed}, {cell.key}: {cell.failed}")
    for cell in read_adapted(run.outputs):
        if cell.shown is not None and cell.shown < cell.train_examples:
            say("adapt", f"{gang.method}, {cell.key}: {cell.shown} of {cell.train_examples} examples have room")
    return found


def scored_cells(gang: Gang, found: GangRuns) -> list[Cell]:
    """The scored cells of a gang, those scored elsewhere under a name of their own."""
    cells = [_cell(gang, found.evaluate, record) for record in read_scores(found.evaluate)]
    for (target, other), path in found.elsewhere.items():
        for record in read_scores(path):
            cell = _cell(gang, path, record)
            cells.append(Cell(cell.method, cell.seed, record | _named(target, other), cell.folder))
    return cells


def pairs_of(recipe: Recipe) -> list[tuple[str, str]]:
    """Each target with every other task that it is scored on too, by the names of the tasks."""
    return [(task_name(target), task_name(other)) for target, several in recipe.across.items() for other in several]


def across_name(target: str, other: str) -> str:
    """How the table calls what was trained on one task and scored on another."""
    return f"{target} on {other}"


def _named(target: str, other: str) -> dict[str, str]:
    return {"task": across_name(target, other), "group": ACROSS}


def _cell(gang: Gang, run: Path, record: dict) -> Cell:
    key = cell_key(record["task"], str(record["shots"]), record["draw"])
    return Cell(gang.method, gang.seed, record, run / "outputs" / key)
