"""Sources to teachers: one free prompt per source task, all trained side by side."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from clinprompt.backbones.protocol import Placement
from clinprompt.prompts.fit import check_template
from clinprompt.prompts.headed import head_rates, headed, member_heads
from clinprompt.prompts.plain import PlainPrompts
from clinprompt.prompts.prompt_file import SoftPrompt, load_prompt, save_prompt
from clinprompt.schema.example import Split
from clinprompt.stages.cards import prompt_card
from clinprompt.stages.cells import Cell, candidates, dev_every, measured, rms, starts, winners
from clinprompt.stages.configs import TeachSettings
from clinprompt.stages.earlier import counts_by_run
from clinprompt.stages.folds import refuse_folds
from clinprompt.stages.opened import Opened, open_backbone
from clinprompt.stages.prepared import Prepared, open_prepared
from clinprompt.stages.progress import Progress, silent
from clinprompt.stages.run_folder import RunFolder, open_run
from clinprompt.stages.taken_teachers import taken_teachers
from clinprompt.stages.watching import watcher
from clinprompt.training.loop import train
from clinprompt.training.outcome import TrainingResult
from clinprompt.training.seeds import derive

STAGE, VERSION = "teach", 2


def teach(
    settings: TeachSettings,
    *,
    runs: Path,
    opened: Opened | None = None,
    progress: Progress = silent,
    force: bool = False,
) -> RunFolder:
    """Train the teachers; ``outputs/<task>.safetensors`` each, a table of losses in the summary.

    Those that a finished run has of the same settings and notes are taken from there (see ``taken_teachers``; none
    with ``force``); the summary counts them.
    """
    refuse_folds(settings.budget, where=STAGE)
    opened = opened or open_backbone(settings.backbone)
    prepared = [open_prepared(path) for path in settings.sources]
    opened = opened.suited("prompt-tuning", [item.task for item in prepared])
    opened.check_placement(settings.prompt.placement)
    run = open_run(
        runs,
        stage=STAGE,
        version=VERSION,
        config=settings,
        inputs={item.task.name: item.path for item in prepared},
        fingerprints={"backbone": opened.backbone.fingerprint},
        force=force,
        together=True,
    )
    if run.done:
        return run
    with run:
        tasks = [item.task.name for item in prepared]
        taken = {} if force else taken_teachers(run, tasks=tasks)
        new = [item for item in prepared if item.task.name not in taken]
        made, result = _train(new, settings, opened=opened, run=run, progress=progress) if new else ({}, None)
        found = {**taken, **made}
        run.finish(
            {
                "teachers": {task: found[task] for task in tasks},
                "diverged": result.diverged if result else [],
                "seconds": result.seconds if result else 0.0,
                "taken": counts_by_run(run.path) if taken else {},
            }
        )
    return run


def _train(
    prepared: Sequence[Prepared], settings: TeachSettings, *, opened: Opened, run: RunFolder, progress: Progress
) -> tuple[dict[str, dict[str, Any]], TrainingResult]:
    """One teacher per task, written to the run's outputs; by task its row of the summary."""
    cells = [
        Cell(item.task.name, item.task, item.part(Split.train), item.part(Split.dev), settings.seed)
        for item in prepared
    ]
    length, budget = settings.prompt.length, settings.budget
    start = starts(opened, cells, start=settings.start, length=length, layered=settings.prompt.layers == "every")
    heads = opened.heads([derive(cell.seed, "heads") for cell in cells for _ in budget.rates])
    source = headed(PlainPrompts(start.repeat_interleave(len(budget.rates), dim=0)), heads)
    members = candidates(
        opened,
        cells,
        budget,
        reserve=length,
        rates=lambda i, rate: {"prompt": rate * rms(start[i]), **head_rates(heads, budget.head_rate)},
    )
    with progress(STAGE, budget.steps) as advance:
        result = train(
            opened.backbone,
            source,
            members,
            placement=Placement(settings.prompt.placement),
            tokens_per_forward=budget.tokens_per_forward,
            dev_every=dev_every(budget),
            checkpoint=run.checkpoints / "gang.safetensors",
            watch=watcher(run, members, advance),
        )
    folded = source.folded()
    rows = {}
    for item, best in zip(prepared, winners(members, budget, result), strict=True):
        name = members[best].name
        card = prompt_card(
            opened,
            item,
            method="prompt-tuning",
            vectors=folded[best],
            heads=member_heads(source, best),
            placement=settings.prompt.placement,
            trainable=source.trainable(best),
            run=run.id,
            seed=settings.seed,
        )
        if run.writes:
            prompt = SoftPrompt(folded[best], card, member_heads(source, best))
            save_prompt(run.outputs / f"{item.task.name}.safetensors", prompt)
        rows[item.task.name] = {
            "member": name,
            "loss": result.losses[name],
            "dev_loss": measured(result.dev_losses[name]),
        }
    return rows, result


def load_teachers(folder: Path, tasks: list[str], opened: Opened) -> list[SoftPrompt]:
    """The teachers in the order of the tasks, checked against the backbone and the template."""
    found = []
    for path in (folder / f"{task}.safetensors" for task in tasks):
        found.append(load_prompt(path, backbone=opened.identity))
        check_template(found[-1].card, opened.template.name, opened.template.hash, where=str(path))
    return found
