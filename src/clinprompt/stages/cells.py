"""Units of training that share a gang: a task's examples and seed, tried with every learning rate of the budget."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby

import torch
from torch import Tensor

from clinprompt.data.limit import limited
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
    """One thing to train: a task with its training examples; ``dev`` chooses rates and steps.

    ``rate`` is the learning rate where one is chosen already; ``None``: all of the budget are tried.
    """

    name: str
    task: Task
    train: Sequence[Example]
    dev: Sequence[Example]
    seed: int
    rate: float | None = None

    def tried(self, budget: Budget) -> tuple[float, ...]:
        """The learning rates that it is trained with."""
        return budget.rates if self.rate is None else (self.rate,)


def member_name(cell: Cell, rate: float) -> str:
    """What the member is called that trains a cell with a rate."""
    return f"{cell.name}@{rate:g}"


def candidates(
    opened: Opened,
    cells: Sequence[Cell],
    budget: Budget,
    *,
    reserve: int,
    rates: Callable[[int, float], Mapping[str, float]],
    judge: bool = False,
) -> list[Member]:
    """One member per cell and learning rate, cell by cell; ``rates(cell, rate)`` gives peak rates by group.

    Dev rows are read where a cell has something to choose by them, and with ``judge``; :class:`InputError` where there
    are none. Of an encoder whose border they shall put they are read as well, if there are any.
    """
    members = []
    for i, cell in enumerate(cells):
        tried = cell.tried(budget)
        judged = judge or budget.keep == "best" or len(tried) > 1
        if judged and not cell.dev:
            raise InputError(
                "there is no dev part to choose the learning rate or the step by",
                where=f"task {cell.task.name}",
                fix="give one rate (or `folds`, to choose it) and `keep: last`, or import the data with a dev share",
            )
        seed = derive(cell.seed, "rows", cell.name)
        rows = opened.training_rows(cell.train, cell.task, reserve=reserve, impossible=budget.impossible, seed=seed)
        wanted = judged or (opened.reads and budget.threshold == "dev")
        dev = opened.rows(limited(cell.dev, budget.dev_limit), cell.task, reserve=reserve) if wanted else ()
        members += [
            Member(
                name=member_name(cell, rate),
                rows=rows,
                dev=dev if judged else (),
                steps=budget.steps,
                batch=budget.batch,
                seed=seed,
                rates=rates(i, rate),
                warmup=min(budget.warmup, budget.steps),
                clip=budget.clip,
                patience=budget.patience,
                border=dev,
            )
            for rate in tried
        ]
    return members


def dev_every(budget: Budget) -> int:
    """Steps between looks at the dev loss; keeping the last step needs only the look at the end."""
    return budget.dev_every if budget.keep == "best" else budget.steps


def winners(members: Sequence[Member], budget: Budget, result: TrainingResult) -> list[int]:
    """For each cell the index of its member with the lowest dev loss; :class:`InputError` when all of them diverged."""
    best = []
    for cell, found in survivors(members, result).items():
        if found is None:
            raise all_diverged(cell, budget.rates)
        best.append(found)
    return best


def survivors(members: Sequence[Member], result: TrainingResult) -> dict[str, int | None]:
    """By cell the index of its member with the lowest dev loss; ``None`` when all of them diverged."""

    def rank(n: int) -> float:
        loss = result.dev_losses[members[n].name]
        return loss if math.isfinite(loss) else math.inf

    best = {}
    for cell, of_cell in groupby(range(len(members)), key=lambda n: members[n].name.rpartition("@")[0]):
        alive = [n for n in of_cell if members[n].name not in result.diverged]
        best[cell] = min(alive, key=rank) if alive else None
    return best


def all_diverged(cell: str, rates: Sequence[float], *, folds: bool = False) -> InputError:
    """What is said of a cell that no learning rate could train, with ``folds`` not in every one of them."""
    return InputError(
        "training diverged with every learning rate" + " in some fold" * folds,
        where=cell,
        allowed="finite losses",
        fix=f"give lower `budget.rates` than {', '.join(f'{rate:g}' for rate in rates)}",
    )


def measured(loss: float | None) -> float | None:
    """A loss that was measured; ``None`` for one that never was."""
    return None if loss is None or math.isnan(loss) else loss


def starts(opened: Opened, cells: Sequence[Cell], *, start: str, length: int, layered: bool = False) -> Tensor:
    """Start prompts ``[N, P, H]``: the task's own words (``text``) or random tokens (``vocabulary``).

    ``layered`` ones are ``[N, L, P, H]``: what every layer would take in of these.
    """
    table = opened.backbone.embeddings
    found = []
    for cell in cells:
        if start == "text":
            words = opened.backbone.tokens(Piece(" " + cell.task.instruction))
            found.append(from_tokens(table, words, length=length))
        else:
            found.append(from_vocabulary(table, length=length, seed=derive(cell.seed, "start", cell.name)))
    return opened.layer_starts(torch.stack(found)) if layered else torch.stack(found)


def rms(values: Tensor) -> float:
    """Root mean square: the unit of a prompt's learning rate."""
    return float(values.detach().float().square().mean().sqrt())
