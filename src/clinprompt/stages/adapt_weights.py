"""Adaptation that changes the backbone's weights: LoRA and fine-tuning, one cell after the other."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from contextlib import AbstractContextManager
from pathlib import Path

from clinprompt.backbones.protocol import Placement
from clinprompt.stages.adapted import Adapted, Plan
from clinprompt.stages.atomic import write_json
from clinprompt.stages.cells import candidates, dev_every
from clinprompt.stages.configs import AdaptSettings, Budget, FineTuning, Lora
from clinprompt.stages.opened import Opened
from clinprompt.stages.progress import Advance, Progress
from clinprompt.stages.run_folder import RunFolder
from clinprompt.training.lora import LoraSource, low_rank
from clinprompt.training.loop import StepReport, train
from clinprompt.training.seeds import derive
from clinprompt.training.weights import WeightSource, all_weights, save_weights


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
    base = dict(
        task=plan.cell.task.name, shots=plan.shots, draw=plan.draw, seed=settings.seed, method=method.kind
    )
    if not plan.cell.train:
        return Adapted(**base, trainable=0)
    record = run.outputs / plan.cell.name / "cell.json"
    finished = _read(record)
    if finished is not None:  # an interrupted run keeps the cells it has
        advance(len(method.budget.rates) * method.budget.steps)
        return finished
    best: Adapted | None = None
    for rate in method.budget.rates:
        name = "lora" if isinstance(method, Lora) else "weights.safetensors"
        part = run.checkpoints / plan.cell.name / f"{rate:g}" / name
        with _trainable(settings, plan, opened) as source:
            result = _train(source, plan, method.budget, rate, opened=opened, run=run, advance=advance)
            found = Adapted(
                **base,
                trainable=source.trainable,
                rate=rate,
                loss=result[0],
                dev_loss=result[1],
                train_examples=len(plan.cell.train),
                file=f"{plan.cell.name}/{name}",
            )
            if isinstance(source, LoraSource):
                source.save(part)
            else:
                save_weights(part, source)
        if best is None or (found.dev_loss or 0.0) < (best.dev_loss or 0.0):
            best = found
            target = run.outputs / found.file
            shutil.rmtree(target, ignore_errors=True) if target.is_dir() else target.unlink(missing_ok=True)
            target.parent.mkdir(parents=True, exist_ok=True)
            part.rename(target)
    assert best is not None
    write_json(record, {name: getattr(best, name) for name in Adapted.__dataclass_fields__})
    return best


def _trainable(settings: AdaptSettings, plan: Plan, opened: Opened) -> AbstractContextManager[WeightSource]:
    method = settings.method
    if isinstance(method, Lora):
        seed = derive(settings.seed, "lora", plan.cell.name)
        return low_rank(
            opened.backbone, rank=method.rank, alpha=method.alpha, targets=method.targets, seed=seed
        )
    return all_weights(opened.backbone)


def _train(
    source: WeightSource,
    plan: Plan,
    budget: Budget,
    rate: float,
    *,
    opened: Opened,
    run: RunFolder,
    advance: Advance,
) -> tuple[float, float | None]:
    names = [group.name for group in source.groups()]
    single = budget.model_copy(update={"rates": (rate,)})
    judged = budget.keep == "best" or len(budget.rates) > 1
    if judged:  # dev rows are needed to compare rates even when the last step is kept
        single = single.model_copy(update={"keep": "best"})
    members = candidates(
        opened, [plan.cell], single, reserve=0, rates=lambda i, peak: dict.fromkeys(names, peak)
    )
    name = members[0].name

    def watch(report: StepReport) -> None:
        run.metric(step=report.step, **report.losses)
        advance(1, loss=report.losses.get(name, float("nan")))

    result = train(
        opened.backbone,
        source,
        members,
        placement=Placement.suffix,
        tokens_per_forward=budget.tokens_per_forward,
        dev_every=dev_every(budget),
        checkpoint=run.checkpoints / plan.cell.name / f"{rate:g}.safetensors",
        save_every=300.0,  # a checkpoint of every weight is large
        watch=watch,
    )
    return result.losses[name], result.dev_losses[name] if judged else None


def _read(record: Path) -> Adapted | None:
    if not record.is_file():
        return None
    return Adapted(**json.loads(record.read_text(encoding="utf-8")))
