"""Units of training that share a gang: a task's examples and seed, tried with every learning rate of the budget."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from clinprompt.errors import InputError
from clinprompt.prompts.start import from_tokens, from_vocabulary
from clinprompt.schema.example import Example
from clinprompt.schema.formulated import Piece
from clinprompt.stages.methods import Budget
from clinprompt.stages.opened import Opened
from clinprompt.tasks.task import Task
from clinprompt.training.gang import Member
from clinprompt.training.outcome import TrainingResult
from clinprompt.training.seeds import derive


@dataclass(frozen=True, slots=True)
class Cell:
    """One thing to train: a task with its training examples; ``dev`` chooses rates and steps."""

    name: str
    task: Task
    train: Sequence[Example]
    dev: Sequence[Example]
    seed: int


def candidates(
    opened: Opened,
    cells: Sequence[Cell],
    budget: Budget,
    *,
    reserve: int,
    rates: Callable[[int, float], Mapping[str, float]],
) -> list[Member]:
    """One member per cell and learning rate, cell by cell; ``rates(cell, rate)`` gives peak rates by group."""
    judged = budget.keep == "best" or len(budget.rates) > 1
    members = []
    for i, cell in enumerate(cells):
        if judged and not cell.dev:
            raise InputError(
                "there is no dev part to choose the learning rate or the step by",
                where=f"task {cell.task.name}",
                fix="give one rate and `keep: last`, or import the data with a dev share",
            )
        rows = opened.rows(cell.train, cell.task, reserve=reserve)
        dev = opened.rows(cell.dev[: budget.dev_limit], cell.task, reserve=reserve) if judged else ()
        members += [
            Member(
                name=f"{cell.name}@{rate:g}",
                rows=rows,
                dev=dev,
                steps=budget.steps,
                batch=budget.batch,
                seed=derive(cell.seed, "rows", cell.name),
                rates=rates(i, rate),
                warmup=min(budget.warmup, budget.steps),
                clip=budget.clip,
                patience=budget.patience,
            )
            for rate in budget.rates
        ]
    return members


def dev_every(budget: Budget) -> int:
    """Steps between looks at the dev loss; keeping the last step needs only the look at the end."""
    return budget.dev_every if budget.keep == "best" else budget.steps


def winners(members: Sequence[Member], budget: Budget, result: TrainingResult) -> list[int]:
    """For each cell the index of its member with the lowest dev loss; :class:`InputError` when all of them diverged."""
    width = len(budget.rates)

    def rank(n: int) -> float:
        loss = result.dev_losses[members[n].name]
        return loss if math.isfinite(loss) else math.inf

    best = []
    for at in range(0, len(members), width):
        alive = [n for n in range(at, at + width) if members[n].name not in result.diverged]
        if not alive:
            raise InputError(
                "training diverged with every learning rate",
                where=members[at].name.rpartition("@")[0],
                allowed="finite losses",
                fix=f"give lower `budget.rates` than {', '.join(f'{rate:g}' for rate in budget.rates)}",
            )
        best.append(min(alive, key=rank))
    return best


def measured(loss: float | None) -> float | None:
    """A loss that was measured; ``None`` for one that never was."""
    return None if loss is None or math.isnan(loss) else loss


def starts(opened: Opened, cells: Sequence[Cell], *, start: str, length: int) -> Tensor:
    """Start prompts ``[N, P, H]``: the task's own words (``text``) or random tokens (``vocabulary``)."""
    table = opened.backbone.embeddings
    found = []
    for cell in cells:
        if start == "text":
            words = opened.backbone.tokens(Piece(" " + cell.task.instruction))
            found.append(from_tokens(table, words, length=length))
        else:
            found.append(from_vocabulary(table, length=length, seed=derive(cell.seed, "start", cell.name)))
    return torch.stack(found)


def rms(values: Tensor) -> float:
    """Root mean square: the unit of a prompt's learning rate."""
    return float(values.detach().float().square().mean().sqrt())
