"""Decomposed prompts of cells side by side, with their peak rates and where their factors are from."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from clinprompt.maths.decomposition import TaskFactors, compose, mean_of_products, neutral_factors, widen
from clinprompt.prompts.decomposed import DecomposedPrompts
from clinprompt.prompts.prompt_file import Metaprompt
from clinprompt.stages.cells import Cell, rms
from clinprompt.stages.free_prompts import CellPrompts
from clinprompt.stages.methods import Mpt
from clinprompt.stages.opened import Opened
from clinprompt.stages.start_losses import start_losses
from clinprompt.training.seeds import derive


def decomposed_prompts(
    method: Mpt, opened: Opened, cells: Sequence[Cell], metaprompt: Metaprompt, *, copies: int = 1
) -> CellPrompts:
    """The metaprompt times each cell's start factors, ``copies`` times; rates are multiples of each part's RMS."""
    pairs, names = _factors(method, cells, metaprompt, opened)
    source = DecomposedPrompts(
        metaprompt.vectors,
        [pair for pair in pairs for _ in range(copies)],
        shared=False,
        train_metaprompt=method.train_metaprompt,
    )
    unit, share = rms(metaprompt.vectors), method.factor_share

    def rates(cell: int, rate: float) -> dict[str, float]:
        pair = pairs[cell]
        return {
            "metaprompt": rate * unit,
            "rows": share * rate * rms(pair.rows),
            "cols": share * rate * rms(pair.cols),
        }

    return CellPrompts(source, rates, names)


def _factors(
    method: Mpt, cells: Sequence[Cell], metaprompt: Metaprompt, opened: Opened
) -> tuple[list[TaskFactors], list[str]]:
    """Start factors of each cell and where they come from."""
    P, H = metaprompt.vectors.shape
    pairs = metaprompt.factors
    mean = mean_of_products(
        torch.stack([pair.rows for pair in pairs.values()]),
        torch.stack([pair.cols for pair in pairs.values()]),
        rank=method.rank,
    )
    found, names = [], []
    for cell in cells:
        seed = derive(cell.seed, "factors", cell.name)
        if method.factors == "neutral":
            found.append(neutral_factors(P, H, method.rank, seed=seed))
            names.append("neutral")
            continue
        options = {"mean": mean}
        if method.factors == "select" and cell.train:
            options |= {name: widen(pair, rank=method.rank, seed=seed) for name, pair in pairs.items()}
        name = _lowest_loss(options, cell, metaprompt, opened)
        found.append(options[name])
        names.append(name)
    return found, names


def _lowest_loss(options: dict[str, TaskFactors], cell: Cell, metaprompt: Metaprompt, opened: Opened) -> str:
    """Of several factor pairs the one with which the cell's own examples are likeliest."""
    if len(options) == 1:
        return next(iter(options))
    prompts = {name: compose(metaprompt.vectors, pair.rows, pair.cols) for name, pair in options.items()}
    losses = start_losses(prompts, cell, opened, placement=metaprompt.card.placement, heads=metaprompt.heads)
    return min(losses, key=losses.__getitem__)
