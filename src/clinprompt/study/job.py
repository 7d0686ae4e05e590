"""A whole job: data, teachers, metaprompt, every method on every target, scores, table, report."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from clinprompt.evaluation.csv_text import csv_text
from clinprompt.evaluation.score import score_task, task_counts
from clinprompt.evaluation.trivial import trivial_name, trivial_predictions
from clinprompt.schema.example import Split
from clinprompt.stages.adapt import adapt
from clinprompt.stages.adapted import cell_key
from clinprompt.stages.atomic import write_json, write_text
from clinprompt.stages.configs import (
    AdaptSettings,
    DistillSettings,
    EvaluateSettings,
    PrepareSettings,
    TeachSettings,
)
from clinprompt.stages.distill import FILE as METAPROMPT
from clinprompt.stages.distill import distill
from clinprompt.stages.evaluate import COUNTS, evaluate, read_scores
from clinprompt.stages.leakage import LeakLine, write_leakage
from clinprompt.stages.opened import Opened, open_backbone
from clinprompt.stages.prepare import LEFT_OUT, prepare
from clinprompt.stages.prepared import Prepared, open_prepared
from clinprompt.stages.progress import Progress, silent
from clinprompt.stages.run_folder import RunFolder
from clinprompt.stages.teach import teach
from clinprompt.study.difference import Difference, differences
from clinprompt.study.group_table import GroupLine, GroupTable, group_table
from clinprompt.study.leakage import marked, seen_before
from clinprompt.study.rank_table import RankLine, rank_table
from clinprompt.study.recipe import Recipe
from clinprompt.study.replicates import replicates
from clinprompt.study.score_table import TRIVIAL
from clinprompt.study.table import Cell, Line, lines

ACROSS = "across"
"""The group of what was trained on one task and scored on another."""

Say = Callable[[str, str], None]
"""``say("teach", "6 tasks …")``: one line per stage."""


@dataclass(frozen=True, slots=True)
class JobResult:
    """What a job made: the tables, the scored cells, the outputs of each method and seed, data and metaprompt."""

    lines: tuple[Line, ...]
    groups: GroupTable
    differences: tuple[Difference, ...]
    ranks: tuple[RankLine, ...]
    leakage: tuple[LeakLine, ...]
    cells: tuple[Cell, ...]
    adapted: Mapping[tuple[str, int], Path]
    targets: Mapping[str, Prepared]
    sources: Mapping[str, Prepared]
    metaprompt: Path | None
    teach: RunFolder | None
    distill: RunFolder | None
    backbone_name: str
    backbone_parameters: int


def run_job(
    recipe: Recipe,
    *,
    runs: Path,
    opened: Opened | None = None,
    progress: Progress = silent,
    say: Say = lambda stage, text: None,
) -> JobResult:
    """Run a recipe through all stages; finished stages are reused, interrupted ones resumed."""
    opened = opened or open_backbone(recipe.backbone)
    say("backbone", f"{opened.backbone.name}, {opened.backbone.fingerprint}, template {opened.template.name}")
    targets, sources = prepare_all(recipe, runs=runs, progress=progress, say=say)
    metaprompt, taught, distilled = recipe.metaprompt, None, None
    if recipe.sources is not None:
        taught, distilled = _source_stage(recipe, sources, runs, opened, progress, say)
        metaprompt = distilled.outputs / METAPROMPT
    pairs = [(target, other) for target, several in recipe.across.items() for other in several]
    others = _prepared([*dict.fromkeys(other for _, other in pairs)], recipe, runs, progress, say) if pairs else {}
    cells = _trivial_cells(recipe, targets, runs)
    adapted: dict[tuple[str, int], Path] = {}
    for name, method in recipe.methods.items():
        for place, seed in enumerate(recipe.seeds if method.kind != "instruction" else recipe.seeds[:1]):
            settings = AdaptSettings(
                backbone=recipe.backbone,
                targets=tuple(item.path for item in targets.values()),
                method=method,
                metaprompt=metaprompt if method.kind == "mpt" else None,
                prompt=recipe.prompt,
                shots=recipe.shots if method.kind != "instruction" else (0,),
                draws=recipe.draws,
                first_draw=place * recipe.draws if recipe.own_draws else 0,
                seed=seed,
            )
            shown = ", ".join(str(count) for count in settings.shots)
            say("adapt", f"{name}, seed {seed}: {len(targets)} targets, shots {shown}, {recipe.draws} draw(s)")
            run = adapt(settings, runs=runs, opened=opened, progress=progress)
            adapted[name, seed] = run.outputs
            scoring = EvaluateSettings(
                backbone=recipe.backbone,
                adapted=run.path,
                targets=settings.targets,
                **recipe.score.model_dump(),
            )
            scored = evaluate(scoring, runs=runs, opened=opened, progress=progress)
            cells += [Cell(name, seed, record, scored.outputs / _key(record)) for record in read_scores(scored.path)]
            for target, other in pairs:
                there = scoring.model_copy(update={"elsewhere": {target: others[other].path}})
                scored = evaluate(there, runs=runs, opened=opened, progress=progress)
                for record in read_scores(scored.path):
                    named = record | {"task": across_name(target, other), "group": ACROSS}
                    cells.append(Cell(name, seed, named, scored.outputs / _key(record)))
    tasks = {name: item.task for name, item in targets.items()}
    tasks |= {
        across_name(*pair): tasks[pair[0]].model_copy(update={"name": across_name(*pair), "group": ACROSS})
        for pair in pairs
    }
    leaks = seen_before(recipe, targets, sources, others, runs=runs, progress=progress, say=say)
    table = marked(
        lines(cells, tasks, resamples=recipe.score.resamples),
        leaks,
        kinds={name: method.kind for name, method in recipe.methods.items()},
        names={pair: across_name(*pair) for pair in pairs},
    )
    drawn = replicates(cells, tasks, resamples=recipe.score.resamples)
    groups = group_table(table, drawn)
    return JobResult(
        lines=tuple(table),
        groups=groups,
        differences=tuple(differences(table, groups, drawn, recipe.compare)),
        ranks=tuple(rank_table(table, groups)),
        leakage=tuple(leaks),
        cells=tuple(cells),
        adapted=adapted,
        targets=targets,
        sources=sources,
        metaprompt=metaprompt,
        teach=taught,
        distill=distilled,
        backbone_name=f"{opened.backbone.name} ({opened.backbone.fingerprint})",
        backbone_parameters=sum(weight.numel() for weight in opened.backbone.model.parameters()),
    )


def write_table(folder: Path, result: JobResult) -> None:
    """Write ``table``, ``groups``, ``differences``, ``ranks`` and ``leakage``, each as CSV and as JSON."""
    write_text(folder / "table.csv", csv_text(result.lines, kind=Line))
    write_json(folder / "table.json", {"lines": [asdict(line) for line in result.lines]})
    write_text(folder / "groups.csv", csv_text(result.groups.lines, kind=GroupLine))
    write_json(folder / "groups.json", asdict(result.groups))
    write_text(folder / "differences.csv", csv_text(result.differences, kind=Difference))
    write_json(folder / "differences.json", {"lines": [asdict(line) for line in result.differences]})
    write_text(folder / "ranks.csv", csv_text(result.ranks, kind=RankLine, leave_out=("alike",)))
    write_json(folder / "ranks.json", {"lines": [asdict(line) for line in result.ranks]})
    write_leakage(folder, result.leakage)


def prepare_all(
    recipe: Recipe, *, runs: Path, progress: Progress, say: Say
) -> tuple[dict[str, Prepared], dict[str, Prepared]]:
    """The targets and the sources of a recipe, the sources without the targets' test documents if it says so."""
    targets = _prepared(recipe.targets, recipe, runs, progress, say)
    if recipe.sources is None:
        return targets, {}
    apart = tuple(item.path for item in targets.values()) if recipe.sources.exclude_overlap else ()
    return targets, _prepared(recipe.sources.tasks, recipe, runs, progress, say, apart_from=apart)


def _prepared(
    names: Sequence[str], recipe: Recipe, runs: Path, progress: Progress, say: Say, *, apart_from: tuple[Path, ...] = ()
) -> dict[str, Prepared]:
    say("prepare", ", ".join(names))
    found = {}
    with progress("prepare", len(names)) as advance:
        for name in names:
            settings = PrepareSettings(
                task=name, data_root=recipe.data_root, limits=recipe.limits, apart_from=apart_from
            )
            run = prepare(settings, runs=runs)
            for place, count in run.summary().get(LEFT_OUT, {}).items():
                say("prepare", f"{name}: {count} examples left out, {place} (their documents stand in its test part)")
            item = open_prepared(run.path)
            found[item.task.name] = item
            advance(1)
    return found


def _source_stage(
    recipe: Recipe, sources: Mapping[str, Prepared], runs: Path, opened: Opened, progress: Progress, say: Say
) -> tuple[RunFolder, RunFolder]:
    given = recipe.sources
    assert given is not None
    paths = tuple(item.path for item in sources.values())
    say("teach", f"{len(paths)} teachers, {given.teach.steps} steps side by side")
    taught = teach(
        TeachSettings(
            backbone=recipe.backbone,
            sources=paths,
            prompt=recipe.prompt,
            start=given.teach_start,
            budget=given.teach,
            seed=given.seed,
        ),
        runs=runs,
        opened=opened,
        progress=progress,
    )
    say("distill", f"one metaprompt of {len(paths)} tasks, rank {given.rank}, {given.distill.steps} steps")
    distilled = distill(
        DistillSettings(
            backbone=recipe.backbone,
            teachers=taught.path,
            sources=paths,
            rank=given.rank,
            start=given.distill_start,
            weight=given.weight,
            temperature=given.temperature,
            hidden_layers=given.hidden_layers,
            mixing=given.mixing,
            budget=given.distill,
            factor_rate=given.factor_rate,
            seed=given.seed,
        ),
        runs=runs,
        opened=opened,
        progress=progress,
    )
    return taught, distilled


def _trivial_cells(recipe: Recipe, targets: Mapping[str, Prepared], runs: Path) -> list[Cell]:
    """Cells of the baseline without a model, scored like the others."""
    cells = []
    for name, item in targets.items():
        examples = item.part(Split(recipe.score.part))[: recipe.score.limit]
        predictions = trivial_predictions(item.task, item.part(Split.train), examples)
        scores = score_task(item.task, examples, predictions, resamples=recipe.score.resamples)
        folder = runs / "trivial" / item.digest / recipe.score.part / str(recipe.score.limit or "all")
        write_json(folder / COUNTS, task_counts(item.task, examples, predictions))
        record: dict[str, Any] = {
            "task": name, "shots": "full", "draw": 0, "trainable": 0, "note": trivial_name(item.task),
            "kind": item.task.kind.value, "group": item.task.group, **scores.record(),
        }  # fmt: skip
        cells.append(Cell(TRIVIAL, 0, record, folder))
    return cells


def across_name(target: str, other: str) -> str:
    """The name in the table of what was trained on ``target`` and scored on ``other``.

    >>> across_name("site-a", "site-b")
    'site-a on site-b'
    """
    return f"{target} on {other}"


def _key(record: Mapping[str, Any]) -> str:
    return cell_key(record["task"], record["shots"], record["draw"])


def read_table(folder: Path) -> list[Line]:
    """The lines of a written table."""
    content = json.loads((folder / "table.json").read_text(encoding="utf-8"))
    return [Line(**line) for line in content["lines"]]
