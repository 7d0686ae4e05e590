"""Adaptation that changes the backbone's weights: LoRA and fine-tuning, one cell after the other."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict, replace
from pathlib import Path

from clinprompt.backbones.protocol import Placement
from clinprompt.prompts.bank import SoftPrompt, save_prompt
from clinprompt.prompts.headed import Headed, head_rates, member_heads
from clinprompt.prompts.source import PromptSource
from clinprompt.stages.adapted import BESIDE, Adapted, Plan
from clinprompt.stages.atomic import write_json
from clinprompt.stages.cards import prompt_card
from clinprompt.stages.cells import Cell, candidates, dev_every, measured, winners
from clinprompt.stages.configs import AdaptSettings
from clinprompt.stages.free_prompts import free_prompts
from clinprompt.stages.methods import FineTuning, HardPrompt, Lora, SoftPromptUnfrozen
from clinprompt.stages.opened import Opened
from clinprompt.stages.progress import Advance, Progress
from clinprompt.stages.run_folder import RunFolder
from clinprompt.stages.watching import watcher
from clinprompt.training.loop import train
from clinprompt.training.lora import low_rank
from clinprompt.training.outcome import TrainingResult
from clinprompt.training.seeds import derive
from clinprompt.training.weights import WeightSource, all_weights

WeightMethod = Lora | FineTuning | HardPrompt | SoftPromptUnfrozen


def adapt_weights(
    settings: AdaptSettings, plans: Sequence[Plan], *, opened: Opened, run: RunFolder, progress: Progress
) -> list[Adapted]:
    """Train and save each cell with every rate of the budget; the rate with the lowest dev loss is kept."""
    method = settings.method
    assert isinstance(method, WeightMethod)
    budget = method.budget
    tries = sum(len(budget.rates) for plan in plans if plan.cell.train)
    done = []
    with progress(f"adapt {method.kind}", tries * budget.steps) as advance:
        for plan in plans:
            done.append(_cell(settings, plan, opened=opened, run=run, advance=advance))
    return done


def _cell(settings: AdaptSettings, plan: Plan, *, opened: Opened, run: RunFolder, advance: Advance) -> Adapted:
    method = settings.method
    assert isinstance(method, WeightMethod)
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
        with _trainable(settings, plan, opened) as weights:
            source, peaks = _beside(weights, rate, settings, cell, opened)
            length = source.lengths[0]
            member = candidates(opened, [cell], budget, reserve=length, rates=lambda *_, peaks=peaks: peaks)[number]
            result = train(
                opened.backbone,
                source,
                [member],
                placement=_placement(settings),
                tokens_per_forward=budget.tokens_per_forward,
                dev_every=dev_every(budget),
                checkpoint=scratch / f"{number}.safetensors",
                save_every=300.0,  # a checkpoint of every weight is large
                watch=watcher(run, [member], advance),
            )
            trainable = sum(group.tensor.numel() for group in source.groups())
            if run.writes:
                weights.save(scratch / str(number) / name)
                if isinstance(source, Headed):
                    prompt = _prompt(source, settings, plan, opened, run=run, trainable=trainable)
                    save_prompt(scratch / str(number) / BESIDE, prompt)
        members.append(member)
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
        for made in (scratch / str(best)).iterdir():
            _move(made, run.outputs / cell.name / made.name)
        write_json(record, asdict(found))
        shutil.rmtree(scratch)
    return found


def _trainable(settings: AdaptSettings, plan: Plan, opened: Opened) -> AbstractContextManager[WeightSource]:
    method = settings.method
    if isinstance(method, Lora):
        seed = derive(settings.seed, "lora", plan.cell.name)
        return low_rank(opened.backbone, rank=method.rank, alpha=method.alpha, targets=method.targets, seed=seed)
    return all_weights(opened.backbone)


def _beside(
    weights: WeightSource, rate: float, settings: AdaptSettings, cell: Cell, opened: Opened
) -> tuple[PromptSource, dict[str, float]]:
    """The weights, with an encoder's scorers and the prompt of the method, if it has one; and their peak rates."""
    method = settings.method
    peaks = dict.fromkeys([group.name for group in weights.groups()], rate)
    heads = opened.heads([derive(cell.seed, "heads", cell.name)])
    if not heads:
        return weights, peaks
    prompts = None
    if isinstance(method, SoftPromptUnfrozen):
        free = free_prompts(method, opened, [cell], length=settings.prompt.length)
        prompts = free.source
        peaks |= free.rates(0, method.prompt_rate)
    return Headed(prompts, heads, weights=weights.groups()), peaks | head_rates(heads, method.budget.head_rate)


def _placement(settings: AdaptSettings) -> Placement:
    return Placement(getattr(settings.method, "placement", None) or settings.prompt.placement)


def _prompt(
    source: Headed, settings: AdaptSettings, plan: Plan, opened: Opened, *, run: RunFolder, trainable: int
) -> SoftPrompt:
    """What belongs to the trained weights: scorers and prompt (of no vectors for methods without one)."""
    vectors, heads, placement = source.folded()[0], member_heads(source, 0), _placement(settings)
    card = prompt_card(
        opened,
        plan.prepared,
        method=settings.method.kind,
        vectors=vectors,
        heads=heads,
        placement=placement.value,
        trainable=trainable,
        run=run.id,
        seed=settings.seed,
        shots=None if plan.shots == "full" else int(plan.shots),
    )
    return SoftPrompt(vectors, card, heads)


def _move(source: Path, target: Path) -> None:
    """Move a file or folder; an interrupted run may have left one there."""
    if target.is_dir():
        shutil.rmtree(target)
    target.parent.mkdir(parents=True, exist_ok=True)
    source.replace(target)
