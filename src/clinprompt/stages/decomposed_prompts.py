"""Decomposed prompts of cells side by side, with their peak rates and where their factors are from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch

from clinprompt.errors import InputError
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
    """The metaprompt times each cell's start factors, ``copies`` times; rates are multiples of each part's RMS.

    The columns of factors that are added have a rate that changes the prompt by a share of the metaprompt's RMS: they
    may start at zero. A metaprompt without factors is adapted alone. Raises :class:`InputError` where that is not
    possible, because it stands still.
    """
    if not metaprompt.factors and not method.train_metaprompt:
        raise InputError(
            "the metaprompt was learned without factors, and it is not to be trained itself: nothing is left to train",
            where="method.train_metaprompt",
            fix="leave it out, or distill with `decomposed: true`",
        )
    pairs, names = _factors(method, cells, metaprompt, opened)
    shift = metaprompt.card.shift
    source = DecomposedPrompts(
        metaprompt.vectors,
        [pair for pair in pairs for _ in range(copies)],
        shared=False,
        train_metaprompt=method.train_metaprompt,
        train_factors=method.train_factors and bool(metaprompt.factors),
        shift=shift,
    )
    unit, share = rms(metaprompt.vectors), method.factor_share

    def rates(cell: int, rate: float) -> dict[str, float]:
        pair = pairs[cell]
        cols = unit / (rms(pair.rows) or 1.0) if shift == "additive" else rms(pair.cols)
        return {
            "metaprompt": rate * unit,
            "rows": share * rate * rms(pair.rows),
            "cols": share * rate * cols,
        }

    return CellPrompts(source, rates, names)


def randomised(metaprompt: Metaprompt, *, seed: int) -> Metaprompt:
    """The metaprompt with a random direction in place of each vector, of the same length; all else as it is."""
    noise = torch.randn(metaprompt.vectors.shape, generator=torch.Generator().manual_seed(seed))
    lengths = metaprompt.vectors.norm(dim=-1, keepdim=True)
    return replace(metaprompt, vectors=noise * lengths / noise.norm(dim=-1, keepdim=True))


def _factors(
    method: Mpt, cells: Sequence[Cell], metaprompt: Metaprompt, opened: Opened
) -> tuple[list[TaskFactors], list[str]]:
    """Start factors of each cell and where they come from."""
    *above, P, H = metaprompt.vectors.shape
    layers, pairs, shift = tuple(above), metaprompt.factors, metaprompt.card.shift
    if not pairs:
        return [neutral_factors(P, H, 1, seed=0, layers=layers)] * len(cells), ["none"] * len(cells)
    rows, cols = (
        torch.stack(parts) for parts in zip(*[(pair.rows, pair.cols) for pair in pairs.values()], strict=True)
    )
    # The mean of K products of rank R has no more than K·R components; others would be zero and stay so.
    mean = mean_of_products(rows, cols, rank=min(method.rank, len(pairs) * rows.shape[-1]))
    found, names = [], []
    for cell in cells:
        seed = derive(cell.seed, "factors", cell.name)
        if method.factors == "neutral":
            found.append(neutral_factors(P, H, method.rank, seed=seed, shift=shift, layers=layers))
            names.append("neutral")
            continue
        options = {"mean": widen(mean, rank=method.rank, seed=seed)}
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
    shift = metaprompt.card.shift
    prompts = {n: compose(metaprompt.vectors, pair.rows, pair.cols, shift=shift) for n, pair in options.items()}
    losses = start_losses(prompts, cell, opened, placement=metaprompt.card.placement, heads=metaprompt.heads)
    return min(losses, key=losses.__getitem__)
