"""A finished job as a report: its sources, examples worth a look, and the facts that stand beside every number."""

from __future__ import annotations

import os
import platform
from datetime import date
from pathlib import Path

from clinprompt.schema.example import Split
from clinprompt.stages.cards import versions
from clinprompt.study.duration import seconds_of
from clinprompt.study.errors_shown import choose_errors
from clinprompt.study.examples_shown import choose_examples
from clinprompt.study.job import JobResult
from clinprompt.study.recipe import Recipe
from clinprompt.study.report import SourceStory, SourceTask, write_report


def report_job(
    path: Path, recipe: Recipe, result: JobResult, *, command: str, seconds: float, examples: bool = True
) -> None:
    """Write the report of a job to one HTML file, with ``examples`` of its notes or without."""
    part = Split(recipe.score.part)
    write_report(
        path,
        recipe_name=recipe.name,
        description=recipe.description,
        lines=result.lines,
        given_heads=result.given_heads,
        groups=result.groups,
        differences=result.differences,
        sources=_sources(result),
        shown=choose_examples(result.cells, result.targets, part=part) if examples else (),
        errors=choose_errors(result.cells, result.lines),
        ranks=result.ranks,
        leakage=result.leakage,
        facts=_facts(result, seconds),
        command=command,
    )


def _sources(result: JobResult) -> SourceStory | None:
    if result.teach is None or result.distill is None:
        return None
    taught, distilled = result.teach.summary(), result.distill.summary()
    losses = distilled["losses"]
    tasks = tuple(
        SourceTask(
            name=name,
            kind=result.sources[name].task.kind.value if name in result.sources else "",
            teacher_loss=_number(found["dev_loss"]) or _number(found["loss"]),
            metaprompt_loss=next((_number(loss) for key, loss in losses.items() if key.startswith(f"{name}@")), None),
        )
        for name, found in taught["teachers"].items()
    )
    return SourceStory(
        tasks=tasks,
        metaprompt_loss=_number(distilled["dev_loss"]),
        teach_seconds=seconds_of(result.teach.path),
        distill_seconds=seconds_of(result.distill.path),
    )


def _number(value: object) -> float | None:
    """A loss of a run's summary; what was never judged stands there as a word."""
    return value if isinstance(value, float) else None


def _facts(result: JobResult, seconds: float) -> dict[str, str]:
    facts = {
        "date": date.today().isoformat(),
        "minutes": f"{seconds / 60:.1f}",
        "backbone": result.backbone_name,
        "backbone parameters": f"{result.backbone_parameters:,}",
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}",
    }
    return facts | {f"{name} version": version for name, version in versions().items()}
