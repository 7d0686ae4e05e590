"""Targets to adapted prompts, or to a baseline: one method on every target, shot count and draw."""

from __future__ import annotations

from pathlib import Path

from clinprompt.errors import InputError
from clinprompt.stages.adapt_prompts import adapt_prompts
from clinprompt.stages.adapt_weights import adapt_weights
from clinprompt.stages.adapted import Adapted, Plan, plan_cells, write_adapted
from clinprompt.stages.configs import AdaptSettings
from clinprompt.stages.opened import Opened, open_backbone
from clinprompt.stages.prepared import open_prepared
from clinprompt.stages.progress import Progress, silent
from clinprompt.stages.run_folder import RunFolder, open_run
from clinprompt.training.method import method

STAGE, VERSION = "adapt", 2


def adapt(
    settings: AdaptSettings,
    *,
    runs: Path,
    opened: Opened | None = None,
    progress: Progress = silent,
    force: bool = False,
) -> RunFolder:
    """Train every cell; writes ``outputs/cells.json`` and one file or folder per trained cell.

    Methods on a frozen backbone train all cells as one gang; methods that change its weights train cell by cell.
    """
    row = method(settings.method.kind)
    if settings.backbone.sharded and row.weights != "frozen":
        raise InputError(
            f"{row.name} changes the backbone's weights, and sharded weights cannot be changed",
            where="backbone.sharded",
            fix="leave it out, or adapt with mpt or prompt-tuning",
        )
    opened = opened or open_backbone(settings.backbone)
    prepared = [open_prepared(path) for path in settings.targets]
    opened = opened.suited(row.name, [item.task for item in prepared])
    inputs = {item.task.name: item.path for item in prepared}
    if settings.metaprompt is not None:
        inputs["metaprompt"] = settings.metaprompt
    run = open_run(
        runs,
        stage=STAGE,
        version=VERSION,
        config=settings,
        inputs=inputs,
        fingerprints={"backbone": opened.backbone.fingerprint},
        force=force,
        together=True,
    )
    if run.done:
        return run
    with run:
        numbers = range(settings.first_draw, settings.first_draw + settings.draws)
        plans = plan_cells(prepared, shots=settings.shots, draws=numbers, seed=settings.seed)
        if row.gangs:
            cells = adapt_prompts(settings, plans, opened=opened, run=run, progress=progress)
        elif row.trains:
            cells = adapt_weights(settings, plans, opened=opened, run=run, progress=progress)
        else:
            cells = [_untrained(plan, settings) for plan in plans]
        if run.writes:
            write_adapted(run.outputs, cells)
        run.finish({"cells": len(cells), "trainable": max(cell.trainable for cell in cells)})
    return run


def _untrained(plan: Plan, settings: AdaptSettings) -> Adapted:
    return Adapted(plan.cell.task.name, plan.shots, plan.draw, settings.seed, settings.method.kind, trainable=0)
