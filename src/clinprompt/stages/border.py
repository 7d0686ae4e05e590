"""Where a trained encoder's border of yes and no is put, and what is told of it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from torch import Tensor

from clinprompt.backbones.protocol import Row
from clinprompt.stages.cells import Cell
from clinprompt.stages.methods import Budget
from clinprompt.stages.opened import Opened


def settled(
    opened: Opened,
    cell: Cell,
    rows: Sequence[Row],
    budget: Budget,
    *,
    vectors: Tensor,
    heads: Mapping[str, Tensor],
    placement: str,
) -> tuple[Mapping[str, Tensor], str]:
    """The scorers of a trained cell with the border that its budget asks for, and where that is, in words.

    ``rows`` are those of the dev part (:attr:`~clinprompt.training.gang.Member.border`). Nothing is told of a decoder,
    which has no border, and where it was to stay at one half.
    """
    if not heads or budget.threshold == "half":
        return heads, ""
    half, looked = "answers begin at a probability of one half", f"the {min(len(cell.dev), budget.dev_limit)} dev"
    if not rows:
        return heads, f"{half}: there is no dev part to put the border by"
    if not any(row.gold for row in rows):  # type: ignore[union-attr]
        return heads, f"{half}: {looked} examples that were looked at have no answers to put the border by"
    moved = opened.settled(vectors, heads, rows, placement=placement)
    border = float((heads["edge_bias"] - moved["edge_bias"])[0])
    if not border:
        return moved, f"{half}: no other border answers {looked} examples better and has one in ten right"
    return moved, f"answers begin at a probability of {_probability(border)}, where {looked} examples have the best F1"


def _probability(logit: float) -> str:
    return f"{1 / (1 + math.exp(-logit)):.2g}"
