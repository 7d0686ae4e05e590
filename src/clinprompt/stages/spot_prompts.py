"""Free prompts that begin as the best single source's prompt (SPoT, arXiv 2110.07904, with a choice by loss)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from clinprompt.prompts.plain import PlainPrompts
from clinprompt.stages.cells import Cell, rms, starts
from clinprompt.stages.free_prompts import CellPrompts
from clinprompt.stages.opened import Opened
from clinprompt.stages.source_prompts import Teachers
from clinprompt.stages.start_losses import start_losses


def spot_prompts(opened: Opened, cells: Sequence[Cell], teachers: Teachers, *, copies: int = 1) -> CellPrompts:
    """Every cell's best source prompt, ``copies`` times; rates are multiples of its RMS.

    The paper compares the sources' prompts with one that was first trained on the target; here the best is the one
    with the lowest loss on the cell's own training examples. A cell without any begins with the task's words and the
    mean scorers of all sources, and ``chosen`` is empty for it.
    """
    vectors = dict(zip(teachers.names, teachers.vectors, strict=True))
    chosen = [_best(vectors, cell, opened, teachers) if cell.train else "" for cell in cells]
    words = starts(opened, cells, start="text", length=teachers.length, layered=teachers.layered).float().cpu()
    start = torch.stack([vectors[name] if name else own for name, own in zip(chosen, words, strict=True)])
    scorers = [teachers.heads_of.get(name, teachers.heads) for name in chosen]
    heads = {
        part: torch.stack([one[part] for one in scorers]).repeat_interleave(copies, dim=0) for part in teachers.heads
    }
    return CellPrompts(
        PlainPrompts(start.repeat_interleave(copies, dim=0)),
        lambda cell, rate: {"prompt": rate * rms(start[cell])},
        [""] * len(cells),
        chosen=chosen,
        heads=heads,
    )


def _best(vectors: Mapping[str, Tensor], cell: Cell, opened: Opened, teachers: Teachers) -> str:
    """The source whose prompt makes the cell's own examples likeliest, the first of equal ones."""
    losses = start_losses(
        vectors, cell, opened, placement=teachers.placement, heads=teachers.heads, heads_of=teachers.heads_of
    )
    return min(losses, key=losses.__getitem__)
