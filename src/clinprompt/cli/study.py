"""``clinprompt study``: a grid of comparisons, planned, run gang by gang, reported at any moment."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from clinprompt.cli.console import console
from clinprompt.cli.options import FAILED, Runs, Sets, overrides
from clinprompt.cli.run import tell_unused

if TYPE_CHECKING:
    from clinprompt.study.archive import Archive, Gap
    from clinprompt.study.expansion import Part, PlannedGang
    from clinprompt.study.study_file import Study


class Executor(StrEnum):
    """Where gangs are run."""

    local = "local"
    ray = "ray"


app = typer.Typer(help="A grid of comparisons: plan it, run it, report it.", no_args_is_help=True)

File = Annotated[Path, typer.Argument(metavar="STUDY", help="Study file; see recipes/study-example.yaml.")]
DataRoot = Annotated[Path | None, typer.Option(help="Folder that holds the corpora.")]
Out = Annotated[Path | None, typer.Option(help="Folder of records and reports.", show_default="results/NAME")]


@app.callback()
def _group() -> None:
    """A study file names backbones, partitions of tasks, methods, shots, draws and seeds."""


@app.command()
def plan(
    study: File,
    measure: Annotated[
        bool, typer.Option("--measure", help="Run a few steps of teachers, metaprompt and each method first.")
    ] = False,
    tokens: Annotated[int, typer.Option(min=1, help="Tokens of a note, for the memory.")] = 1024,
    device: Annotated[
        str | None,
        typer.Option(
            help="Where it shall run, for the memory: cpu, cuda …; need not be in this machine.",
            show_default="the study's; auto is this machine",
        ),
    ] = None,
    data_root: DataRoot = None,
    out: Out = None,
    sets: Sets = None,
    runs: Runs = Path("runs"),
) -> None:
    """Show the grid, its cells, what is done, and the memory and time of what is left.

    Time is unknown until gangs are done or --measure has run some steps; nothing is guessed. Data that is not there is
    named, with where to get it and where it should lie.
    """
    from clinprompt.cli.plan_tables import duration, show_gangs, show_grid, show_stages
    from clinprompt.study import effort
    from clinprompt.study.expansion import named
    from clinprompt.study.finished import cells_before, finished_before
    from clinprompt.study.memory import memory_of, teachers_memory
    from clinprompt.study.plan import (
        grid,
        incomparable,
        missing_data,
        open_gaps,
        plan_lines,
        too_many_shots,
        unequal,
    )
    from clinprompt.study.running import Worker
    from clinprompt.study.source_stages import stage_lines

    settings, parts, gangs, archive = _opened(study, sets, data_root, out)
    missing = missing_data(parts)
    if measure:
        effort.measure(gangs, Worker(runs, archive, console.progress, console.stage))
    done = finished_before(gangs, archive, runs)
    there = cells_before([one for one in gangs if not done[one.key]], archive, runs)
    times = effort.times(gangs, archive, effort.read_measured(archive.folder), done=done, there=there)
    answer = settings.score.answer_tokens
    memory = {
        one.key: memory_of(one, tokens=tokens, answer=answer, device=device or "") for one in _first_of_each(gangs)
    }
    stages = stage_lines(
        gangs, runs, effort.read_measured_stages(archive.folder), done=done,
        memory=lambda own: teachers_memory(own, tokens=tokens, answer=answer, device=device or ""),
    )  # fmt: skip
    every = named(parts, settings.search)
    lines = plan_lines(every, archive, done=done, times=times, memory=memory)
    axes = grid(parts)
    size = f"GiB at {tokens} tokens" + (f", {device}" if device else "")
    show_grid(settings.name, axes)
    if stages:
        show_stages(stages, size=size)
    show_gangs(lines, size=size)
    _warn_of_search(unequal(gangs))
    for name, other in incomparable(parts[0].recipe):
        console.warn(f"no difference of {name} and {other} will be shown: they have no shot count in common")
    for name, (count, above) in too_many_shots(parts).items():
        console.warn(f"{name} has {count} training examples: {', '.join(map(str, above))} shots will be gaps")
    left = [one.seconds for one in (*stages, *(line for line in lines if not line.same_as)) if one.left]
    total = None if None in left else sum(seconds or 0 for seconds in left)
    cells = sum(len(one.cells) for one in gangs)
    finished_cells = sum(len(one.cells) for one in gangs if done[one.key])
    taken = sum(there.values())
    more = f", {taken} more to be taken from runs that have them" if taken else ""
    console.line(f"{cells} cells in {len(gangs)} gangs, {finished_cells} done{more}; time left: {duration(total)}")
    for names, fault in missing:
        console.warn(f"no data for {', '.join(names)}: {fault}")
    _tell_gaps(open_gaps(archive, gangs))
    console.result(
        {"name": settings.name, "grid": axes, "cells": cells, "done": finished_cells, "there": taken, "seconds": total,
         "missing_data": {name: str(fault) for names, fault in missing for name in names},
         "sources": [asdict(one) for one in stages], "lines": [asdict(line) for line in lines],
         "gaps": [asdict(gap) for gap in open_gaps(archive, gangs)],
         "gangs": [{"key": one.key, "part": one.part.title, "method": one.gang.method, "seed": one.gang.seed,
                    "done": done[one.key], "cells": [asdict(cell) for cell in one.cells]} for one in gangs]}
    )  # fmt: skip


@app.command()
def run(
    study: File,
    shard: Annotated[str, typer.Option(help="Only a share of the gangs, such as 2/8: for job arrays.")] = "1/1",
    executor: Annotated[Executor, typer.Option(help="In this process, or as tasks of a Ray cluster.")] = Executor.local,
    address: Annotated[str | None, typer.Option(help="Ray cluster.", show_default="one on this machine")] = None,
    data_root: DataRoot = None,
    out: Out = None,
    sets: Sets = None,
    runs: Runs = Path("runs"),
) -> None:
    """Run the gangs that are not done, one after the other; what fails is recorded as a gap and the rest goes on.

    Kill it when you like: the same command goes on where it stopped. Gangs that failed are tried again. The exit code
    is 3 when all is done but for gaps.
    """
    from clinprompt.errors import InputError
    from clinprompt.study.archive import GAPS
    from clinprompt.study.expansion import shard_of
    from clinprompt.study.finished import finished_before
    from clinprompt.study.plan import open_gaps, refuse_without_data, unequal
    from clinprompt.study.running import Worker, run_gangs
    from clinprompt.study.search import tuned

    if address and executor is not Executor.ray:
        raise InputError("an address is that of a Ray cluster", where="--address", fix="give --executor ray too")
    _, parts, gangs, archive = _opened(study, sets, data_root, out)
    number, of = _shard(shard)
    own = shard_of(gangs, number=number, of=of)
    done_before = finished_before(own, archive, runs)
    refuse_without_data([one for one in own if not done_before[one.key]])
    _warn_of_search(unequal(gangs))
    worker = Worker(runs, archive, console.progress, console.stage)
    for part in parts:  # also those whose gangs all belong to others: the report reads their records
        worker.basis(part)
    if executor is Executor.ray:
        from clinprompt.study.cluster import run_on_ray

        done, failed = run_on_ray(own, archive=archive, runs=runs, address=address, say=console.stage)
    else:
        records, failed = run_gangs(own, worker, tuned=tuned)
        done = len(records)
    gaps = open_gaps(archive, own)
    _tell_gaps(gaps)
    lost = sum(bool(gap.target) for gap in gaps)
    gone = f"{len(failed)} failed, {lost} cells of others lost; reasons in" if gaps else "no gap; records in"
    console.line(f"{done} of {len(own)} gangs done, {gone} {archive.folder / GAPS if gaps else archive.folder}")
    console.result({"folder": archive.folder, "gangs": len(own), "done": done, "gaps": [asdict(gap) for gap in gaps]})
    if gaps:
        raise typer.Exit(FAILED)


@app.command()
def report(
    study: File,
    examples: Annotated[bool, typer.Option("--examples", help="Show notes on the pages of the parts.")] = False,
    data_root: DataRoot = None,
    out: Out = None,
    sets: Sets = None,
    runs: Runs = Path("runs"),
) -> None:
    """Write the report on what is there: one page, CSV, LaTeX, figures, TRIPOD-LLM, a card per prompt.

    The page of the study holds no text of a note; nor do the pages of its parts, without --examples.
    """
    from clinprompt.study.collection import collect
    from clinprompt.study.console_table import console_groups
    from clinprompt.study.legend import DAGGER, SEEN
    from clinprompt.study.plan import open_gaps
    from clinprompt.study.study_report import report_study

    settings, parts, gangs, archive = _opened(study, sets, data_root, out)
    found = collect(parts, archive, runs=runs, search=settings.search, progress=console.progress, say=console.stage)
    gaps = open_gaps(archive, gangs)
    command = shlex.join(["clinprompt", *sys.argv[1:]])
    written = report_study(archive.folder, settings, found, gaps, command=command, examples=examples)
    for one in found:
        if one.result is not None:
            columns, rows = console_groups(one.result.groups)
            console.table(columns, rows, title=f"{one.part.title}: mean score in percent [95 % interval]")
    if any(line.leakage for one in found if one.result for line in one.result.lines):
        console.warn(f"{DAGGER}: {SEEN}; the report says where")
    _tell_gaps(gaps)
    if written.missing:
        console.warn(f"{written.missing} cells have no result yet; the report says which")
    console.line(f"report: {written.files['report.html']}; {written.cards} cards of prompts")
    console.result({**written.files, "missing": written.missing, "gaps": [asdict(gap) for gap in gaps]})


def _opened(
    file: Path, sets: Sequence[str] | None, data_root: Path | None, out: Path | None
) -> tuple[Study, list[Part], list[PlannedGang], Archive]:
    from clinprompt.stages.overrides import load_config
    from clinprompt.study.archive import Archive
    from clinprompt.study.expansion import parts_of, planned
    from clinprompt.study.file_kind import no_recipe
    from clinprompt.study.study_file import Study

    study = load_config(file, Study, overrides(sets, data_root=data_root), check=no_recipe)
    tell_unused(study.methods, study.sources)
    parts = parts_of(study)
    return study, parts, planned(parts, study.search), Archive(out or Path("results") / study.name)


def _first_of_each(gangs: Sequence[PlannedGang]) -> list[PlannedGang]:
    """The first gang of each part and method: those of other seeds take as much."""
    found: dict[tuple[str, str], PlannedGang] = {}
    for one in gangs:
        found.setdefault((one.part.title, one.gang.method), one)
    return list(found.values())


def _shard(text: str) -> tuple[int, int]:
    from clinprompt.errors import InputError

    number, _, of = text.partition("/")
    if not (number.isdigit() and of.isdigit() and 1 <= int(number) <= int(of)):
        raise InputError(f"{text!r} is no share", where="--shard", allowed="1/8 to 8/8, counted from 1")
    return int(number), int(of)


def _warn_of_search(trials: Mapping[str, int]) -> None:
    for name, count in trials.items():
        console.warn(f"unequal search: {name} has {count} trial(s); `search` gives every method as many")


def _tell_gaps(gaps: Sequence[Gap]) -> None:
    for gap in gaps:
        console.warn(f"gap: {gap}")
