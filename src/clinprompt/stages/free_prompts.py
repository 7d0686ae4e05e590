"""Free prompts of cells side by side, in the shape that a method asks for, with their peak rates."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from clinprompt.errors import InputError
from clinprompt.prompts.encoded import EncodedPrompts, encoder_width
from clinprompt.prompts.per_layer import PerLayerPrompts
from clinprompt.prompts.plain import PlainPrompts
from clinprompt.prompts.source import FoldableSource
from clinprompt.stages.cells import Cell, rms, starts
from clinprompt.stages.methods import PromptTuning, SoftPromptUnfrozen
from clinprompt.stages.opened import Opened
from clinprompt.training.seeds import derive

ENCODER_SHARE = 0.1
"""An encoder's weights train at this share of the prompt's rate."""


@dataclass(frozen=True, slots=True)
class CellPrompts:
    """Prompts before training; ``rates(cell, rate)`` are the peak rates of their groups.

    ``factors`` says where the factors of each cell's decomposed prompt are from; empty for free ones. ``weights`` of a
    member are what it has at the moment of each source, by segments; of prompts that are no mixtures none. ``chosen``
    is the source whose prompt each cell begins with, and ``heads`` are the scorers of its prompt, ``[N, ...]`` for all
    members, where these differ.
    """

    source: FoldableSource
    rates: Callable[[int, float], Mapping[str, float]]
    factors: Sequence[str]
    weights: Callable[[int], Mapping[str, list[float]]] = lambda member: {}
    chosen: Sequence[str] = ()
    heads: Mapping[str, Tensor] = field(default_factory=dict)


def free_prompts(
    method: PromptTuning | SoftPromptUnfrozen,
    opened: Opened,
    cells: Sequence[Cell],
    *,
    length: int,
    layered: bool = False,
    copies: int = 1,
    begun: Tensor | None = None,
) -> CellPrompts:
    """Every cell's start prompt, ``copies`` times; rates are multiples of the start's RMS.

    ``layered`` ones have vectors in every layer. With ``begun``, vectors ``[P, H]`` or ``[L, P, H]`` of a finished
    prompt, all cells go on from these.
    """
    if layered and method.encoder != "none":
        raise InputError(
            "an `encoder` makes the vectors of the input only", where="prompt.layers",
            fix="set it to input, or leave the method's `encoder` out",
        )  # fmt: skip
    if begun is not None:
        start = torch.stack([begun.detach().float().cpu()] * len(cells))
    else:
        start = starts(opened, cells, start=method.start, length=length, layered=layered)
    none = [""] * len(cells)
    many = start.repeat_interleave(copies, dim=0)
    if start.ndim == 4:
        return CellPrompts(PerLayerPrompts(many), lambda i, rate: {"prompt": rate * rms(start[i])}, none)
    if method.encoder == "none":
        return CellPrompts(PlainPrompts(many), lambda i, rate: {"prompt": rate * rms(start[i])}, none)
    seeds = [derive(cell.seed, "encoder", cell.name) for cell in cells for _ in range(copies)]
    width = encoder_width(opened.backbone.hidden_size)
    source = EncodedPrompts(many, encoder=method.encoder, width=width, seed=seeds, residual=True)
    names = [group.name for group in source.groups() if group.name != "prompt"]
    return CellPrompts(
        source,
        lambda i, rate: {"prompt": rate * rms(start[i]), **dict.fromkeys(names, ENCODER_SHARE * rate * rms(start[i]))},
        none,
    )
