"""``clinprompt run``: a whole recipe."""

from __future__ import annotations

import shlex
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from clinprompt.cli.console import console
from clinprompt.cli.options import Backbone, Runs, Sets, overrides

if TYPE_CHECKING:
    from clinprompt.stages.methods import MethodSettings
    from clinprompt.study.job import JobResult
    from clinprompt.study.recipe import Recipe, SourceTraining


def run(
    recipe: Annotated[Path, typer.Argument(help="Recipe file; see the folder recipes/.")],
    data_root: Annotated[Path | None, typer.Option(help="Folder that holds the corpora.")] = None,
    out: Annotated[Path | None, typer.Option(help="Folder of table and report.", show_default="results/NAME")] = None,
    backbone: Backbone = None,
    sets: Sets = None,
    runs: Runs = Path("runs"),
) -> None:
    """Run the stages of a recipe: data, teachers, metaprompt, every method on every target, scores, report."""
    from clinprompt.stages.overrides import load_config
    from clinprompt.study.file_kind import no_study
    from clinprompt.study.recipe import Recipe

    settings = load_config(
        recipe, Recipe, overrides(sets, data_root=data_root, backbone__path=backbone), check=no_study
    )
    tell_unused(settings.methods, settings.sources)
    folder = out or Path("results") / settings.name
    run_recipe(settings, runs=runs, out=folder)
    tables = {name: folder / f"{name}.json" for name in ("table", "groups", "differences", "ranks", "leakage")}
    console.result({**tables, "report": folder / "report.html"})


def tell_unused(methods: Mapping[str, MethodSettings], sources: SourceTraining | None) -> None:
    """Warn of variants of the sources that no method starts from."""
    from clinprompt.study.variants import unused

    if names := unused(methods, sources):
        shown = ", ".join(map(repr, names))
        console.warn(f"no method names {shown} of `sources.variants` as its `metaprompt`: not made")


def run_recipe(recipe: Recipe, *, runs: Path, out: Path) -> JobResult:
    """Run a recipe, print its tables, write tables and report to ``out``."""
    from clinprompt.study.console_table import console_differences, console_groups, console_table
    from clinprompt.study.job import run_job, write_table
    from clinprompt.study.legend import DAGGER
    from clinprompt.study.story import report_job

    began = time.monotonic()
    result = run_job(recipe, runs=runs, progress=console.progress, say=console.stage)
    seconds = time.monotonic() - began
    write_table(out, result)
    report_job(out / "report.html", recipe, result, command=_command(), seconds=seconds)
    columns, rows = console_table(result.lines)
    console.table(columns, rows, title=f"{recipe.name}: score in percent [95 % interval]")
    if result.given_heads:
        columns, rows = console_table(result.given_heads)
        console.table(columns, rows, title="Relations given the annotated heads, the second pass alone")
    columns, rows = console_groups(result.groups)
    console.table(columns, rows, title="By group of targets: mean score in percent [95 % interval]")
    for missing in result.groups.missing:
        console.warn(f"no mean over the group: {missing}")
    columns, rows = console_differences(result.differences)
    if rows:
        console.table(columns, rows, title="Differences by group in points [95 % paired interval]")
    if any(line.leakage for line in result.lines):
        told = "some of the scored examples stand in what was trained on, whole or nearly"
        console.warn(f"{DAGGER} {told}; see {out / 'leakage.csv'}")
    console.line(f"{seconds / 60:.1f} minutes; table: {out / 'table.csv'}; report: {out / 'report.html'}")
    return result


def _command() -> str:
    return shlex.join(["clinprompt", *sys.argv[1:]])
