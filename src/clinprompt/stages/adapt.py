"""Targets to adapted prompts, or to a baseline: one method on every target, shot count and draw."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from clinprompt.errors import InputError
from clinprompt.schema.example import Split
from clinprompt.stages.adapt_prompts import adapt_prompts
from clinprompt.stages.adapt_weights import adapt_weights
from clinprompt.stages.adapted import Adapted, Plan, plan_cells, write_adapted
from clinprompt.stages.banked import prompt_path
from clinprompt.stages.configs import AdaptSettings, PromptSettings
from clinprompt.stages.earlier import counts_by_run
from clinprompt.stages.in_context import show_examples
from clinprompt.stages.methods import for_encoder, prompt_fields
from clinprompt.stages.opened import Opened, open_backbone
from clinprompt.stages.prepared import Prepared, open_prepared
from clinprompt.stages.progress import Progress, silent
from clinprompt.stages.run_folder import RunFolder, open_run
from clinprompt.stages.taken_cells import taken_cells
from clinprompt.training.method import method

STAGE, VERSION, READING_VERSION = "adapt", 3, 4


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
    A cell that diverges with every learning rate, or has more shots than there are examples, is recorded as failed and
    the others go on; when all of them do, :class:`InputError` is raised. The summary counts the failed ones, those
    taken from runs that trained them before (see ``taken_cells``; none with ``force``) and, by task and part, the
    answers that an encoder cannot be asked for.
    """
    row = method(settings.method.kind)
    if settings.backbone.sharded and row.weights != "frozen":
        raise InputError(
            f"{row.name} changes the backbone's weights, and sharded weights cannot be changed",
            where="backbone.sharded",
            fix="leave it out, or adapt with mpt or prompt-tuning",
        )
    settings = settings.model_copy(update={"prompt": _prompt(settings)})
    opened = opened or open_backbone(settings.backbone)
    prepared = [open_prepared(path) for path in settings.targets]
    opened = opened.suited(row.name, [item.task for item in prepared])
    opened.check_placement(settings.prompt.placement, getattr(settings.method, "placement", None))
    if opened.reads:
        settings = settings.model_copy(update={"method": for_encoder(settings.method)})
    inputs = {item.task.name: item.path for item in prepared}
    if settings.metaprompt is not None:
        inputs["metaprompt"] = settings.metaprompt
    if settings.teachers is not None:
        inputs["teachers"] = settings.teachers
    if settings.start_from is not None:
        settings = settings.model_copy(update={"start_from": prompt_path(settings.start_from)})
        inputs["start_from"] = settings.start_from
    run = open_run(
        runs,
        stage=STAGE,
        version=READING_VERSION if opened.reads else VERSION,
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
        every = plan_cells(prepared, shots=settings.shots, draws=numbers, seed=settings.seed)
        undrawn = [(plan, plan.undrawn) for plan in every if plan.undrawn]
        if len(undrawn) == len(every):
            raise undrawn[0][1]
        plans = [plan for plan in every if not plan.undrawn]
        taken = {} if force else taken_cells(run, plans, tasks=[item.task.name for item in prepared])
        plans = [plan for plan in plans if plan.cell.name not in taken]
        if not plans:
            cells = []
        elif row.gangs:
            cells = adapt_prompts(settings, plans, opened=opened, run=run, progress=progress)
        elif row.trains:
            cells = adapt_weights(settings, plans, opened=opened, run=run, progress=progress)
        elif row.prompt == "examples":
            cells = show_examples(settings, plans, opened=opened, run=run)
        else:
            cells = [_untrained(plan, settings) for plan in plans]
        cells += taken.values()
        cells += [plan.lost(why, seed=settings.seed, method=settings.method.kind) for plan, why in undrawn]
        order = {plan.cell.name: place for place, plan in enumerate(every)}
        cells.sort(key=lambda cell: order[cell.key])
        lost = [cell for cell in cells if cell.failed]
        if len(lost) == len(cells):
            raise InputError(lost[0].failed, where=", ".join(cell.key for cell in lost[:5]))
        for cell in lost:
            run.log(f"{cell.key}: {cell.failed}")
        for cell in cells:
            if cell.border:
                run.log(f"{cell.key}: {cell.border}")
        if run.writes:
            write_adapted(run.outputs, cells)
        summary = {"cells": len(cells), "lost": len(lost), "trainable": max(cell.trainable for cell in cells)}
        summary |= {"taken": counts_by_run(run.path) if taken else {}}
        run.finish(summary | {"unaskable": _unaskable(opened, prepared, run)})
    return run


def _prompt(settings: AdaptSettings) -> PromptSettings:
    """The prompt's settings, as usual where they have no effect: they are in a run's name, and equal runs have one."""
    counted = () if settings.start_from else prompt_fields(settings.method)
    return PromptSettings(**{name: getattr(settings.prompt, name) for name in counted})


def _unaskable(opened: Opened, prepared: Sequence[Prepared], run: RunFolder) -> dict[str, dict[str, Any]]:
    """By task and part, the answers that an encoder cannot be asked for, also in the log; nothing for decoders."""
    counts: dict[str, dict[str, Any]] = {}
    for item in prepared:
        for part in (Split.train, Split.dev):
            found = opened.unaskable(item.part(part), item.task)
            if found is not None and found.answers:
                counts.setdefault(item.task.name, {})[part.value] = asdict(found)
                run.log(f"{item.task.name}, {part.value}: {found}")
    return counts


def _untrained(plan: Plan, settings: AdaptSettings) -> Adapted:
    return Adapted(plan.cell.task.name, plan.shots, plan.draw, settings.seed, settings.method.kind, trainable=0)
