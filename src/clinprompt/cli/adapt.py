"""``clinprompt adapt``: a prompt for a new task."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from clinprompt.cli.console import console
from clinprompt.cli.options import Backbone, Config, Force, Runs, Sets, overrides

if TYPE_CHECKING:
    from clinprompt.stages.adapted import Adapted
    from clinprompt.stages.configs import AdaptSettings
    from clinprompt.stages.run_folder import RunFolder


def adapt(
    data: Annotated[list[Path] | None, typer.Argument(help="Prepared target tasks.")] = None,
    method: Annotated[
        str | None,
        typer.Option(
            help="mpt, prompt-tuning, spot, attention, routing, lora, fine-tuning, instruction, in-context; for "
            "encoders also hard-prompt and soft-prompt-unfrozen.",
            show_default="mpt",
        ),
    ] = None,
    metaprompt: Annotated[
        Path | None, typer.Option(help="Metaprompt file.", show_default="the embedded backbone's own")
    ] = None,
    teachers: Annotated[
        Path | None, typer.Option(help="Run of `clinprompt teach` whose prompts are the sources; spot, attention.")
    ] = None,
    start_from: Annotated[
        Path | None, typer.Option("--from", help="Prompt to go on from: a file or BANK:NAME[@VERSION]; prompt-tuning.")
    ] = None,
    shots: Annotated[list[str] | None, typer.Option(help="Training examples per task: a number or `full`.")] = None,
    out: Annotated[Path | None, typer.Option(help="Folder to copy finished prompts to, one file per task.")] = None,
    backbone: Backbone = None,
    config: Config = None,
    sets: Sets = None,
    runs: Runs = Path("runs"),
    force: Force = False,
) -> None:
    """Adapt the metaprompt to target tasks, or train a baseline on the same examples."""
    from clinprompt.backbones.loading import EMBEDDED, embedded_metaprompt
    from clinprompt.stages.adapt import adapt as stage
    from clinprompt.stages.configs import AdaptSettings
    from clinprompt.stages.overrides import load_config

    if config is None:
        method = method or ("prompt-tuning" if start_from else "mpt")
        if _takes_metaprompt(method, sets) and metaprompt is None and (backbone or EMBEDDED) == EMBEDDED:
            metaprompt = embedded_metaprompt()
    counts = [int(count) if count.isdigit() else count for count in shots or ()]
    flags = overrides(
        sets, targets=data, method__kind=method, metaprompt=metaprompt, teachers=teachers,
        start_from=start_from, shots=counts, backbone__path=backbone,
    )  # fmt: skip
    settings = load_config(config, AdaptSettings, flags)
    console.stage("adapt", f"{settings.method.kind}, {len(settings.targets)} task(s)")
    _tell_known(settings)
    run = stage(settings, runs=runs, progress=console.progress, force=force)
    _report(run, out)


def _takes_metaprompt(method: str, sets: Sequence[str] | None) -> bool:
    """Whether a method starts from a metaprompt: routing does unless it is given a number of experts."""
    experts = [one.partition("=")[2] for one in sets or () if one.startswith("method.experts=")]
    return method == "mpt" or (method == "routing" and experts in ([], ["sources"]))


def _tell_known(settings: AdaptSettings) -> None:
    """Warn of targets that the metaprompt or the teachers were made of."""
    from clinprompt.stages.prepared import open_prepared
    from clinprompt.stages.source_prompts import source_names

    sources = source_names(metaprompt=settings.metaprompt, teachers=settings.teachers)
    names = [open_prepared(path).task.name for path in settings.targets] if sources else []
    if known := [name for name in names if name in sources]:
        made = "teachers" if settings.teachers else "metaprompt"
        console.warn(f"{', '.join(known)}: among the sources of the {made}, so scores do not say how a new task does")


def _report(run: RunFolder, out: Path | None) -> None:
    from clinprompt.stages.adapted import read_adapted
    from clinprompt.stages.earlier import told_taken
    from clinprompt.tasks.formulations.unaskable import Unaskable

    cells = read_adapted(run.outputs)
    rows = [
        [cell.task, cell.shots, cell.draw, cell.trainable, *map(_number, (cell.rate, cell.loss, cell.dev_loss))]
        for cell in cells
        if not cell.failed
    ]
    columns = ["task", "shots", "draw", "trainable", "rate", "loss", "dev loss"]
    console.table(columns, rows, title="Adapted")
    for cell in cells:
        if cell.failed:
            console.warn(f"{cell.key}: {cell.failed}")
        if cell.fold_losses:
            losses = ", ".join(f"{rate}: {_number(loss) or 'diverged'}" for rate, loss in cell.fold_losses.items())
            console.line(f"{cell.key}: mean loss over folds by rate: {losses}")
        if cell.source:
            console.line(f"{cell.key}: started from the prompt of {cell.source}")
        if cell.border:
            console.line(f"{cell.key}: {cell.border}")
        if cell.shown is not None:
            console.line(f"{cell.key}: {cell.shown} of {cell.train_examples} examples stand before every note")
        if cell.weights:
            console.line(f"{cell.key}: {_weights(cell)}")
    for line in told_taken(run.summary()):
        console.line(line)
    unaskable = run.summary().get("unaskable", {})
    for task, parts in unaskable.items():
        for part, counts in parts.items():
            if (found := Unaskable(**counts)).total:
                console.line(f"{task}, {part}: {found}")
    wanted = out is not None and run.writes
    copied = [_copied(cell, cells, run, out) for cell in cells if _result(cell)] if wanted else []
    for path in copied:
        console.line(f"prompt: {path}")
    if weights := [cell.key for cell in cells if cell.file and not _result(cell)] if wanted else []:
        console.warn(
            f"nothing was copied to {out} of {', '.join(weights)}: the trained weights stay in the run's folder; use "
            f"them with `clinprompt evaluate --prompt {run.path}`, of an encoder also with `predict`"
        )
    console.line(f"run: {run.path}")
    console.result({"run": run.path, "prompts": copied, "cells": len(cells), "unaskable": unaskable})


def _copied(cell: Adapted, cells: Sequence[Adapted], run: RunFolder, out: Path) -> Path:
    """Copy a finished prompt to ``out``, named after its task, and its shots and draw when there are several."""
    from clinprompt.data.atomic import whole_file

    alone = sum(other.task == cell.task for other in cells) == 1
    file = run.outputs / _result(cell)
    path = out / f"{cell.task if alone else cell.key.replace('/', '-')}{file.suffix}"
    with whole_file(path) as part:
        shutil.copyfile(file, part)
    return path


def _result(cell: Adapted) -> str:
    """What a person can take away of a cell: its prompt, or the text that stands before every note."""
    from clinprompt.stages.adapted import SHOWN

    if cell.is_prompt or not cell.shown:
        return cell.file if cell.is_prompt else ""
    return f"{cell.key}/{SHOWN}"


def _weights(cell: Adapted, *, most: int = 5) -> str:
    """The largest weights of a mixture, by segments of its vectors."""
    found = sorted(cell.weights.items(), key=lambda item: -max(item[1]))
    shown = [f"{name} {' / '.join(f'{value:.2f}' for value in values)}" for name, values in found[:most]]
    return "weights: " + ", ".join(shown) + (f" and {len(found) - most} more" if len(found) > most else "")


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.3g}"
