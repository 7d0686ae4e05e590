"""Cross-validation: learning rates judged by training examples that were not trained on (as in arXiv 2310.06239)."""

from __future__ import annotations

import math
import statistics
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace

from clinprompt.data.chance import draw_number
from clinprompt.errors import InputError
from clinprompt.schema.example import Example
from clinprompt.stages.cells import Cell, member_name
from clinprompt.stages.methods import Budget
from clinprompt.training.outcome import TrainingResult


def folds(examples: Sequence[Example], *, n: int, seed: int, where: str) -> list[list[Example]]:
    """The examples in ``n`` parts of similar size that divide no group (patient or document), the same by seed.

    Raises :class:`InputError` where there are fewer than ``n`` groups.
    """
    sizes = Counter(example.group for example in examples)
    if len(sizes) < n:
        raise InputError(
            f"{n} folds need training examples of at least {n} patients or documents, and there are {len(sizes)}",
            where=where,
            allowed=f"`budget.folds` of 2-{len(sizes)}" if len(sizes) > 1 else "no `budget.folds`",
            fix="give fewer folds or more shots, or leave `budget.folds` out, so that the dev part chooses",
        )
    filled, place = [0] * n, {}
    # The largest first, each to the smallest fold: no fold is left with little.
    for group in sorted(sizes, key=lambda group: (-sizes[group], draw_number("fold", seed, group), group)):
        place[group] = filled.index(min(filled))
        filled[place[group]] += sizes[group]
    return [[example for example in examples if place[example.group] == k] for k in range(n)]


def fold_cells(cell: Cell, *, n: int) -> list[Cell]:
    """A cell for each fold, which trains on the other folds and has this one as its dev part."""
    found = []
    for k, held in enumerate(folds(cell.train, n=n, seed=cell.seed, where=cell.name)):
        away = {example.group for example in held}
        rest = [example for example in cell.train if example.group not in away]
        found.append(replace(cell, name=f"{cell.name}#{k + 1}", train=rest, dev=held))
    return found


def judged(result: TrainingResult) -> dict[str, float]:
    """The dev loss of each member; infinite where it diverged."""
    return {
        name: loss if math.isfinite(loss) and name not in result.diverged else math.inf
        for name, loss in result.dev_losses.items()
    }


def mean_losses(cells: Sequence[Cell], budget: Budget, losses: Mapping[str, float]) -> dict[float, float]:
    """The mean dev loss of each rate over the folds of one cell; ``losses`` are by name of the member."""
    return {rate: statistics.fmean(losses[member_name(cell, rate)] for cell in cells) for rate in budget.rates}


def lowest(means: Mapping[float, float]) -> float | None:
    """The rate with the lowest mean loss; ``None`` where every rate diverged in some fold."""
    rate = min(means, key=means.__getitem__)
    return rate if math.isfinite(means[rate]) else None


def recorded(means: Mapping[float, float]) -> dict[str, float | None]:
    """The mean losses by rate as a record keeps them; ``None`` for a rate that diverged."""
    return {f"{rate:g}": loss if math.isfinite(loss) else None for rate, loss in means.items()}


def refuse_folds(budget: Budget, *, where: str) -> None:
    """Raises :class:`InputError` for a budget with folds where only `adapt` knows them."""
    if budget.folds is not None:
        raise InputError(
            "cross-validation is for adapting to a task; here the dev part chooses",
            where=f"{where}.budget.folds",
            fix="leave it out, or set it in the budget of a method",
        )
