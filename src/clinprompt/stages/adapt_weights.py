"""Adaptation that changes the backbone's weights: LoRA and fine-tuning, one cell after the other."""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from clinprompt.backbones.protocol import Placement
from clinprompt.errors import InputError
from clinprompt.prompts.headed import Headed, head_rates, member_heads
from clinprompt.prompts.prompt_file import SoftPrompt, save_prompt
from clinprompt.prompts.source import PromptSource
from clinprompt.stages.adapted import BESIDE, Adapted, Plan
from clinprompt.stages.atomic import write_json
from clinprompt.stages.border import settled
from clinprompt.stages.cards import prompt_card
from clinprompt.stages.cells import Cell, all_diverged, candidates, dev_every, measured, member_name, survivors
from clinprompt.stages.configs import AdaptSettings
from clinprompt.stages.folds import fold_cells, judged, lowest, mean_losses, recorded
from clinprompt.stages.free_prompts import free_prompts
from clinprompt.stages.methods import Budget, FineTuning, HardPrompt, Lora, SoftPromptUnfrozen
from clinprompt.stages.opened import Opened
from clinprompt.stages.progress import Advance, Progress
from clinprompt.stages.run_folder import RunFolder
from clinprompt.stages.watching import watcher
from clinprompt.training.gang import Member
from clinprompt.training.loop import train
from clinprompt.training.lora import LoraSize, low_rank, size_within
from clinprompt.training.outcome import TrainingResult
from clinprompt.training.seeds import derive
from clinprompt.training.weights import WeightSource, all_weights

WeightMethod = Lora | FineTuning | HardPrompt | SoftPromptUnfrozen


def adapt_weights(
    settings: AdaptSettings, plans: Sequence[Plan], *, opened: Opened, run: RunFolder, progress: Progress
) -> list[Adapted]:
    """Train and save each cell with every rate of the budget; the rate with the lowest dev loss is kept.

    With folds the rate with the lowest mean loss over them is the only one that is trained on all examples.
    """
    method = settings.method
    assert isinstance(method, WeightMethod)
    budget = method.budget
    folds = {
        plan.cell.name: fold_cells(plan.cell, n=budget.folds) for plan in plans if plan.cell.train and budget.folds
    }
    trained = sum(bool(plan.cell.train) for plan in plans)
    with progress(f"adapt {method.kind}", trained * _tries(budget) * budget.steps) as advance:
        given = _Given(settings, budget, opened, run, advance)
        return [_cell(given, plan, folds.get(plan.cell.name, ())) for plan in plans]


def _tries(budget: Budget) -> int:
    """How often a cell is trained."""
    return len(budget.rates) if budget.folds is None else len(budget.rates) * budget.folds + 1


@dataclass(frozen=True, slots=True)
class _Given:
    """What is the same for all cells of a run."""

    settings: AdaptSettings
    budget: Budget
    opened: Opened
    run: RunFolder
    advance: Advance


@dataclass(frozen=True, slots=True)
class _Trained:
    """The backbone's weights after training, with what was trained beside them, while they are there."""

    weights: WeightSource
    source: PromptSource
    member: Member
    result: TrainingResult


def _cell(given: _Given, plan: Plan, folds: Sequence[Cell]) -> Adapted:
    settings, run, cell, budget = given.settings, given.run, plan.cell, given.budget
    kind = settings.method.kind
    adapted = Adapted(cell.task.name, plan.shots, plan.draw, settings.seed, kind, trainable=0)
    if not cell.train:
        return adapted
    record = run.outputs / cell.name / "cell.json"
    if record.is_file():  # an interrupted run keeps the cells it has
        given.advance(_tries(budget) * budget.steps)
        return Adapted(**json.loads(record.read_text(encoding="utf-8")))
    name = "lora" if kind == "lora" else "weights.safetensors"
    scratch = run.checkpoints / cell.name
    means: dict[float, float] = {}
    if folds:
        means = mean_losses(folds, budget, _fold_losses(given, folds, scratch))
        cell = replace(cell, rate=lowest(means))
        if cell.rate is None:
            return _lost(given, plan, all_diverged(cell.name, budget.rates, folds=True))
    members, together, trainable, borders = [], TrainingResult(), 0, []
    rates = cell.tried(budget)
    for number, rate in enumerate(rates):
        with _trained(given, cell, rate, judge=len(rates) > 1, checkpoint=scratch / f"{number}.safetensors") as made:
            trainable = sum(group.tensor.numel() for group in made.source.groups())
            if run.writes:
                made.weights.save(scratch / str(number) / name)
                prompt, border = _prompt(given, made, plan, trainable=trainable)
                borders.append(border)
                if prompt:
                    save_prompt(scratch / str(number) / BESIDE, prompt)
        members.append(made.member)
        together.losses |= made.result.losses
        together.dev_losses |= made.result.dev_losses
        together.diverged += made.result.diverged
    [best] = survivors(members, together).values()
    if best is None:
        return _lost(given, plan, all_diverged(cell.name, budget.rates))
    found = replace(
        adapted,
        trainable=trainable,
        rate=rates[best],
        loss=measured(together.losses[members[best].name]),
        dev_loss=measured(together.dev_losses[members[best].name]),
        train_examples=len(cell.train),
        file=f"{cell.name}/{name}",
        fold_losses=recorded(means),
        border=borders[best] if borders else "",
    )
    if run.writes:
        for part in (scratch / str(best)).iterdir():
            _move(part, run.outputs / cell.name / part.name)
        write_json(record, asdict(found))
        shutil.rmtree(scratch)
    return found


def _lost(given: _Given, plan: Plan, reason: InputError) -> Adapted:
    """The cell as one that could not be trained; an interrupted run does not try it again."""
    found = plan.lost(reason, seed=given.settings.seed, method=given.settings.method.kind)
    if given.run.writes:
        write_json(given.run.outputs / plan.cell.name / "cell.json", asdict(found))
        shutil.rmtree(given.run.checkpoints / plan.cell.name, ignore_errors=True)
    return found


def _fold_losses(given: _Given, folds: Sequence[Cell], scratch: Path) -> dict[str, float]:
    """The dev loss of every fold and rate by name of the member; those of an interrupted run are not trained again."""
    file = scratch / "folds.json"
    known: dict[str, float | None] = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
    known = {name: math.inf if loss is None else loss for name, loss in known.items()}
    given.run.processes.gather(0)  # nobody may add to the file before all have read it
    for fold in folds:
        for rate in given.budget.rates:
            if member_name(fold, rate) in known:
                given.advance(given.budget.steps)
                continue
            with _trained(given, fold, rate, judge=True, checkpoint=scratch / "fold.safetensors") as made:
                known |= judged(made.result)
            if given.run.writes:
                write_json(file, {name: loss if math.isfinite(loss) else None for name, loss in known.items()})
    return known


@contextmanager
def _trained(given: _Given, cell: Cell, rate: float, *, judge: bool, checkpoint: Path) -> Iterator[_Trained]:
    """A cell trained with one rate, for the length of a ``with``; ``judge``: its dev loss is wanted."""
    settings, opened, budget = given.settings, given.opened, given.budget
    with _trainable(settings, cell, opened) as weights:
        source, peaks = _beside(weights, rate, settings, cell, opened)
        reserve, one = source.lengths[0], replace(cell, rate=rate)
        [member] = candidates(opened, [one], budget, reserve=reserve, rates=lambda *_: peaks, judge=judge)
        result = train(
            opened.backbone,
            source,
            [member],
            placement=_placement(settings),
            tokens_per_forward=budget.tokens_per_forward,
            dev_every=dev_every(budget),
            checkpoint=checkpoint,
            save_every=300.0,  # a checkpoint of every weight is large
            watch=watcher(given.run, [member], given.advance),
        )
        yield _Trained(weights, source, member, result)


def _trainable(settings: AdaptSettings, cell: Cell, opened: Opened) -> AbstractContextManager[WeightSource]:
    method = settings.method
    if isinstance(method, Lora):
        seed = derive(settings.seed, "lora", cell.name)
        return low_rank(opened.backbone, _size(method, settings, opened), alpha=method.alpha, seed=seed)
    return all_weights(opened.backbone)


def _size(method: Lora, settings: AdaptSettings, opened: Opened) -> LoraSize:
    if method.rank != "matched":
        return LoraSize(method.rank, method.targets)
    sets = opened.backbone.n_layers if settings.prompt.layers == "every" else 1
    numbers = sets * settings.prompt.length * opened.backbone.hidden_size
    return size_within(opened.backbone, numbers=numbers, targets=method.targets)


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
        layered = "every" in (method.layers, settings.prompt.layers)
        length = method.length or settings.prompt.length
        free = free_prompts(method, opened, [cell], length=length, layered=layered)
        prompts = free.source
        peaks |= free.rates(0, method.prompt_rate)
    return Headed(prompts, heads, weights=weights.groups()), peaks | head_rates(heads, method.budget.head_rate)


def _placement(settings: AdaptSettings) -> Placement:
    return Placement(getattr(settings.method, "placement", None) or settings.prompt.placement)


def _prompt(given: _Given, made: _Trained, plan: Plan, *, trainable: int) -> tuple[SoftPrompt | None, str]:
    """What belongs to an encoder's trained weights: scorers and prompt (of no vectors for methods without one).

    With it, where the scorers' border is, in words.
    """
    if not isinstance(made.source, Headed):
        return None, ""
    settings, opened, placement = given.settings, given.opened, _placement(given.settings)
    vectors, heads = made.source.folded()[0], member_heads(made.source, 0)
    heads, told = settled(
        opened, plan.cell, made.member.border, given.budget, vectors=vectors, heads=heads, placement=placement.value
    )
    card = prompt_card(
        opened,
        plan.prepared,
        method=settings.method.kind,
        vectors=vectors,
        heads=heads,
        placement=placement.value,
        trainable=trainable,
        run=given.run.id,
        seed=settings.seed,
        shots=None if plan.shots == "full" else int(plan.shots),
    )
    return SoftPrompt(vectors, card, heads), told


def _move(source: Path, target: Path) -> None:
    """Move a file or folder; an interrupted run may have left one there."""
    if target.is_dir():
        shutil.rmtree(target)
    target.parent.mkdir(parents=True, exist_ok=True)
    source.replace(target)
