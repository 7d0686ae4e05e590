"""Adaptation that changes the backbone's weights: LoRA and fine-tuning, one cell after the other."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict, replace
from pathlib import Path

from clinprompt.backbones.protocol import Placement
from clinprompt.stages.adapted import Adapted, Plan
from clinprompt.stages.atomic import write_json
from clinprompt.stages.cells import candidates, dev_every, measured, winners
from clinprompt.stages.configs import AdaptSettings
from clinprompt.stages.methods import FineTuning, Lora
from clinprompt.stages.opened import Opened
from clinprompt.stages.progress import Advance, Progress
from clinprompt.stages.run_folder import RunFolder
from clinprompt.stages.watching import watcher
from clinprompt.training.loop import train
from clinprompt.training.lora import low_rank
from clinprompt.training.outcome import TrainingResult
from clinprompt.training.seeds import derive
from clinprompt.training.weights import WeightSource, all_weights


def adapt_weights(
    settings: AdaptSettings, plans: Sequence[Plan], *, opened: Opened, run: RunFolder, progress: Progress
) -> list[Adapted]:
    """Train and save each cell with every rate of the budget; the rate with the lowest dev loss is kept."""
    method = settings.method
    assert isinstance(method, Lora | FineTuning)
    budget = method.budget
    tries = sum(len(budget.rates) for plan in plans if plan.cell.train)
    done = []
    with progress(f"adapt {method.kind}", tries * budget.steps) as advance:
        for plan in plans:
            done.append(_cell(settings, plan, opened=opened, run=run, advance=advance))
    return done


def _cell(settings: AdaptSettings, plan: Plan, *, opened: Opened, run: RunFolder, advance: Advance) -> Adapted:
    method = settings.method
    assert isinstance(method, Lora | FineTuning)
    cell, budget = plan.cell, method.budget
    adapted = Adapted(cell.task.name, plan.shots, plan.draw, settings.seed, method.kind, trainable=0)
    if not cell.train:
        return adapted
    record = run.outputs / cell.name / "cell.json"
    if record.is_file():  # an interrupted run keeps the cells it has
        advance(len(budget.rates) * budget.steps)
        return Adapted(**json.loads(record.read_text(encoding="utf-8")))
    name = "lora" if isinstance(method, Lora) else "weights.safetensors"
    scratch = run.checkpoints / cell.name
    members, together, trainable = [], TrainingResult(), 0
    for number, rate in enumerate(budget.rates):
        with _trainable(settings, plan, opened) as source:
            peaks = dict.fromkeys([group.name for group in source.groups()], rate)
            member = candidates(opened, [cell], budget, reserve=0, rates=lambda *_, peaks=peaks: peaks)[number]
            result = train(
                opened.backbone,
                source,
                [member],
                placement=Placement.suffix,
                tokens_per_forward=budget.tokens_per_forward,
                dev_every=dev_every(budget),
                checkpoint=scratch / f"{number}.safetensors",
                save_every=300.0,  # a checkpoint of every weight is large
                watch=watcher(run, [member], advance),
            )
            if run.writes:
                source.save(scratch / str(number) / name)
        members.append(member)
        trainable = source.trainable
        together.losses |= result.losses
        together.dev_losses |= result.dev_losses
        together.diverged += result.diverged
    [best] = winners(members, budget, together)
    found = replace(
        adapted,
        trainable=trainable,
        rate=budget.rates[best],
        loss=measured(together.losses[members[best].name]),
        dev_loss=measured(together.dev_losses[members[best].name]),
        train_examples=len(cell.train),
        file=f"{cell.name}/{name}",
    )
    if run.writes:
        _move(scratch / str(best) / name, run.outputs / found.file)
        write_json(record, asdict(found))
        shutil.rmtree(scratch)
    return found


def _trainable(settings: AdaptSettings, plan: Plan, opened: Opened) -> AbstractContextManager[WeightSource]:
    method = settings.method
    if isinstance(method, Lora):
        seed = derive(settings.seed, "lora", plan.cell.name)
        return low_rank(opened.backbone, rank=method.rank, alpha=method.alpha, targets=method.targets, seed=seed)
    return all_weights(opened.backbone)


def _move(source: Path, target: Path) -> None:
    """Move a file or folder; an interrupted run may have left one there."""
    if target.is_dir():
        shutil.rmtree(target)
    target.parent.mkdir(parents=True, exist_ok=True)
    source.replace(target)
