"""A whole job: data, teachers, metaprompt, every method on every target, scores, table, report."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from clinprompt.data.limit import limited
from clinprompt.evaluation.csv_text import csv_text
from clinprompt.evaluation.score import score_task, task_counts
from clinprompt.evaluation.trivial import trivial_name, trivial_predictions
from clinprompt.schema.example import Split
from clinprompt.stages.atomic import write_json, write_text
from clinprompt.stages.distill import FILE as METAPROMPT
from clinprompt.stages.leakage import LeakLine, write_leakage
from clinprompt.stages.methods import from_sources
from clinprompt.stages.opened import Opened, open_backbone
from clinprompt.stages.prepared import Prepared
from clinprompt.stages.progress import Progress, silent
from clinprompt.stages.run_folder import RunFolder
from clinprompt.stages.scores import COUNTS
from clinprompt.study.difference import Difference, differences
from clinprompt.study.gang import across_name, gangs_of, pairs_of, run_gang, scored_cells
from clinprompt.study.given_heads import given_heads
from clinprompt.study.group_table import ACROSS, GroupLine, GroupTable, group_table
from clinprompt.study.ingredients import Say, make_metaprompt, prepare_all, prepare_tasks
from clinprompt.study.leakage import marked, seen_before
from clinprompt.study.rank_table import RankLine, rank_table
from clinprompt.study.recipe import Recipe, variant_of
from clinprompt.study.replicates import Place, Replicates, replicates
from clinprompt.study.score_table import TRIVIAL
from clinprompt.study.table import Cell, Line, lines
from clinprompt.study.variants import variants_of
from clinprompt.tasks.template import CHAT


@dataclass(frozen=True, slots=True)
class Ingredients:
    """What a job's gangs need and its report speaks of: data, backbone and how the metaprompt was made."""

    targets: Mapping[str, Prepared]
    sources: Mapping[str, Prepared]
    others: Mapping[str, Prepared]
    metaprompt: Path | None = None
    teach: RunFolder | None = None
    distill: RunFolder | None = None
    backbone_name: str = ""
    backbone_parameters: int = 0

    @property
    def teachers(self) -> Path | None:
        """The run that made the teachers."""
        return self.teach.path if self.teach else None


@dataclass(frozen=True, slots=True)
class JobResult:
    """What a job made: the tables, the scored cells, the outputs of each method and seed, data and metaprompt.

    ``given_heads`` are lines of relations given the annotated heads, which no mean, difference or rank counts.
    """

    lines: tuple[Line, ...]
    given_heads: tuple[Line, ...]
    groups: GroupTable
    differences: tuple[Difference, ...]
    ranks: tuple[RankLine, ...]
    leakage: tuple[LeakLine, ...]
    cells: tuple[Cell, ...]
    drawn: Mapping[Place, Replicates]
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
    opened.check_decoding(recipe.score.decoding)  # before anything is trained
    say("backbone", backbone_told(opened))
    targets, sources = prepare_all(recipe, runs=runs, progress=progress, say=say)
    metaprompts: dict[str, Path | None] = {"": recipe.metaprompt}
    taught, distilled = None, None
    for variant in variants_of(recipe.methods) if recipe.sources is not None else []:
        made = make_metaprompt(recipe, sources, variant=variant, runs=runs, opened=opened, progress=progress, say=say)
        metaprompts[variant] = made[1] and made[1].outputs / METAPROMPT
        if not variant:
            taught, distilled = made
    others = prepare_tasks(recipe.others, recipe, runs, progress, say)
    cells: list[Cell] = []
    adapted: dict[tuple[str, int], Path] = {}
    for gang in gangs_of(recipe):
        found = run_gang(
            recipe,
            gang,
            targets=targets,
            others=others,
            metaprompt=metaprompts.get(variant_of(recipe.methods[gang.method])),
            teachers=taught.path if taught else None,
            runs=runs,
            opened=opened,
            progress=progress,
            say=say,
        )
        adapted[gang.method, gang.seed] = found.adapt / "outputs"
        cells += scored_cells(gang, found)
    given = Ingredients(
        targets, sources, others, metaprompts[""], taught, distilled, backbone_title(opened), backbone_size(opened)
    )
    return collected(recipe, given, cells, adapted, runs=runs, progress=progress, say=say)


def collected(
    recipe: Recipe,
    given: Ingredients,
    scored: Sequence[Cell],
    adapted: Mapping[tuple[str, int], Path],
    *,
    runs: Path,
    progress: Progress = silent,
    say: Say = lambda stage, text: None,
) -> JobResult:
    """The tables of a recipe from the cells that are ``scored``, which need not be all of them."""
    cells = [*trivial_cells(recipe, given.targets, runs), *scored]
    tasks = {name: item.task for name, item in given.targets.items()}
    pairs = pairs_of(recipe)
    tasks |= {
        across_name(*pair): tasks[pair[0]].model_copy(update={"name": across_name(*pair), "group": ACROSS})
        for pair in pairs
    }
    leaks = seen_before(recipe, given.targets, given.sources, given.others, runs=runs, progress=progress, say=say)
    table, given_the_heads = (
        marked(
            lines(own, tasks, resamples=recipe.score.resamples),
            leaks,
            learnt={name for name, method in recipe.methods.items() if from_sources(method)},
            names={pair: across_name(*pair) for pair in pairs},
        )
        for own in (cells, given_heads(cells))
    )
    drawn = replicates(cells, tasks, resamples=recipe.score.resamples)
    groups = group_table(table, drawn)
    return JobResult(
        lines=tuple(table),
        given_heads=tuple(given_the_heads),
        groups=groups,
        differences=tuple(differences(table, groups, drawn, recipe.compare)),
        ranks=tuple(rank_table(table, groups)),
        leakage=tuple(leaks),
        cells=tuple(cells),
        drawn=drawn,
        adapted=adapted,
        targets=given.targets,
        sources=given.sources,
        metaprompt=given.metaprompt,
        teach=given.teach,
        distill=given.distill,
        backbone_name=given.backbone_name,
        backbone_parameters=given.backbone_parameters,
    )


def backbone_title(opened: Opened) -> str:
    """A backbone's name and fingerprint, as reports print them."""
    return f"{opened.backbone.name} ({opened.backbone.fingerprint})"


def backbone_told(opened: Opened) -> str:
    """The title with the template, and that there is a chat template where it is not used."""
    unused = opened.template.name != CHAT and getattr(opened.backbone.tokenizer, "chat_template", None)
    other = ", its chat template unused (backbone.template=chat)" if unused else ""
    return f"{backbone_title(opened)}, template {opened.template.name}{other}"


def backbone_size(opened: Opened) -> int:
    """How many numbers a backbone has."""
    return sum(weight.numel() for weight in opened.backbone.model.parameters())


def write_table(folder: Path, result: JobResult) -> None:
    """Write ``table``, ``groups``, ``differences``, ``ranks`` and ``leakage``, each as CSV and as JSON.

    Lines of relations given the annotated heads stand at the end of the table.
    """
    table = (*result.lines, *result.given_heads)
    write_text(folder / "table.csv", csv_text(table, kind=Line))
    write_json(folder / "table.json", {"lines": [asdict(line) for line in table]})
    write_text(folder / "groups.csv", csv_text(result.groups.lines, kind=GroupLine))
    write_json(folder / "groups.json", asdict(result.groups))
    write_text(folder / "differences.csv", csv_text(result.differences, kind=Difference))
    write_json(folder / "differences.json", {"lines": [asdict(line) for line in result.differences]})
    write_text(folder / "ranks.csv", csv_text(result.ranks, kind=RankLine, leave_out=("alike",)))
    write_json(folder / "ranks.json", {"lines": [asdict(line) for line in result.ranks]})
    write_leakage(folder, result.leakage)


def trivial_cells(recipe: Recipe, targets: Mapping[str, Prepared], runs: Path) -> list[Cell]:
    """Cells of the baseline without a model, scored like the others."""
    cells = []
    for name, item in targets.items():
        examples = limited(item.part(Split(recipe.score.part)), recipe.score.limit)
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


def read_table(folder: Path) -> list[Line]:
    """The lines of a written table."""
    content = json.loads((folder / "table.json").read_text(encoding="utf-8"))
    return [Line(**line) for line in content["lines"]]
