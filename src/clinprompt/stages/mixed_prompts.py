"""Prompts that are mixtures, attended or routed, of cells side by side, with their peak rates and first weights."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Literal

import torch
from torch import Tensor

from clinprompt.errors import InputError
from clinprompt.maths.decomposition import compose
from clinprompt.maths.routing import expert_factors
from clinprompt.prompts.attended import AttendedPrompts
from clinprompt.prompts.prompt_file import Metaprompt
from clinprompt.prompts.routed import RoutedPrompts
from clinprompt.stages.cells import Cell, rms, starts
from clinprompt.stages.free_prompts import CellPrompts
from clinprompt.stages.methods import Attention, Routing
from clinprompt.stages.opened import Opened
from clinprompt.stages.source_prompts import Teachers
from clinprompt.stages.start_losses import start_losses
from clinprompt.training.seeds import derive


def attended_prompts(
    method: Attention, opened: Opened, cells: Sequence[Cell], teachers: Teachers, *, copies: int = 1
) -> CellPrompts:
    """Every cell's own prompt plus the teachers, ``copies`` times; the own one's unit is the whole start's RMS."""
    if method.start == "zero":
        own = torch.zeros(len(cells), *teachers.vectors.shape[1:])
    else:
        own = starts(opened, cells, start=method.start, length=teachers.length, layered=teachers.layered)
    prompts = dict(zip(teachers.names, teachers.vectors, strict=True))
    logits = _logits(method.weights, prompts, cells, opened, placement=teachers.placement, heads=teachers.heads)

    def made(repeats: int) -> AttendedPrompts:
        start, weights = own.repeat_interleave(repeats, dim=0), logits.repeat_interleave(repeats, dim=0)
        return AttendedPrompts(start, teachers.vectors, weights, temperature=method.temperature)

    units = [rms(vectors) for vectors in made(1).folded()]
    source = made(copies)

    def rates(cell: int, rate: float) -> dict[str, float]:
        return {"prompt": rate * units[cell], "logits": method.weight_share * rate}

    return CellPrompts(source, rates, [""] * len(cells), _named(source, teachers.names))


def routed_prompts(
    method: Routing,
    opened: Opened,
    cells: Sequence[Cell],
    *,
    length: int,
    metaprompt: Metaprompt | None,
    copies: int = 1,
) -> CellPrompts:
    """Every cell's mixture of the metaprompt's factors, or of experts of its own, ``copies`` times.

    Rates are multiples of each part's RMS, those of gates are plain. Raises :class:`InputError` for more segments or
    components than the prompt has vectors, and where nothing could train.
    """
    wanted = [("segments", "segments", method.segments)] + [("rank", "components", method.rank)] * (metaprompt is None)
    for name, words, count in wanted:
        if count > length:
            raise InputError(
                f"a prompt of {length} vectors cannot have {count} {words}", where=f"method.{name}",
                allowed=f"1 to {length}",
            )  # fmt: skip
    if metaprompt is not None:
        pairs = metaprompt.factors
        if metaprompt.vectors.ndim == 3:
            raise InputError(
                "routing mixes the factors of prompts at the input, and this metaprompt has some in every layer",
                where="method",
                fix="take mpt, spot or attention, or a metaprompt distilled with `layers: input`",
            )
        if not pairs or metaprompt.card.shift != "product":
            raise InputError(
                "experts from the sources are factors that a metaprompt is multiplied with, and this one has none",
                where="method.experts",
                fix="give a number of experts, or a metaprompt that was distilled without `decomposed` and `shift`",
            )
        if not method.train_metaprompt and len(pairs) == 1:
            raise InputError(
                "nothing would train: with one source its gate is always one", where="method.train_metaprompt",
                fix="leave it on, or give a metaprompt of several sources",
            )  # fmt: skip
        prompts = {name: compose(metaprompt.vectors, pair.rows, pair.cols) for name, pair in pairs.items()}
        names = tuple(pairs)
        logits = _logits(
            method.weights, prompts, cells, opened, placement=metaprompt.card.placement, heads=metaprompt.heads
        )
        rows = torch.stack([pair.rows for pair in pairs.values()])[None]
        cols = torch.stack([pair.cols for pair in pairs.values()])[None]
    else:
        assert isinstance(method.experts, int)
        words = starts(opened, cells, start="text", length=length).float().cpu()
        drawn = [
            expert_factors(
                start, experts=method.experts, rank=method.rank, seed=derive(cell.seed, "experts", cell.name)
            )
            for start, cell in zip(words, cells, strict=True)
        ]
        names = tuple(f"expert {number}" for number in range(1, method.experts + 1))
        logits = torch.zeros(len(cells), method.experts)
        rows, cols = (torch.stack(part).repeat_interleave(copies, dim=0) for part in zip(*drawn, strict=True))
    gates = logits[:, None].repeat(1, method.segments, 1).repeat_interleave(copies, dim=0)
    source = RoutedPrompts(
        rows,
        cols,
        gates,
        metaprompt=metaprompt.vectors if metaprompt else None,
        train_metaprompt=method.train_metaprompt,
        temperature=method.temperature,
    )
    parts = [group for group in source.groups() if group.name != "logits"]

    units = [{group.name: rms(group.tensor[n]) for group in parts} for n in range(0, source.n_members, copies)]

    def rates(cell: int, rate: float) -> dict[str, float]:
        return {name: rate * unit for name, unit in units[cell].items()} | {"logits": method.weight_share * rate}

    return CellPrompts(source, rates, [""] * len(cells), _named(source, names))


def _logits(
    how: Literal["uniform", "loss"],
    prompts: Mapping[str, Tensor],
    cells: Sequence[Cell],
    opened: Opened,
    *,
    placement: str,
    heads: Mapping[str, Tensor],
) -> Tensor:
    """Logits ``[N, K]``: zeros, or minus the loss of each source's prompt on the cell's own examples, if it has any."""
    found = torch.zeros(len(cells), len(prompts))
    for place, cell in zip(found, cells, strict=True):
        if how == "loss" and cell.train:
            losses = start_losses(prompts, cell, opened, placement=placement, heads=heads)
            place -= torch.tensor([losses[name] for name in prompts])
    return found


def _named(source: AttendedPrompts | RoutedPrompts, names: Sequence[str]) -> Callable[[int], dict[str, list[float]]]:
    """What weight, in each segment, a member gives each of the K sources or experts."""
    return lambda member: {name: column.tolist() for name, column in zip(names, source.weights(member).T, strict=True)}
