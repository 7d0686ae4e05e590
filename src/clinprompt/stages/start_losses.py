"""How likely prompts make a cell's own examples before anything is trained on them."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from clinprompt.backbones.protocol import KEPT_NOTES, Placement, PromptVectors, Row
from clinprompt.stages.cells import Cell
from clinprompt.stages.opened import Opened


@torch.no_grad()
def start_losses(
    prompts: Mapping[str, Tensor],
    cell: Cell,
    opened: Opened,
    *,
    placement: str,
    heads: Mapping[str, Tensor],
    heads_of: Mapping[str, Mapping[str, Tensor]] | None = None,
    most: int = 32,
) -> dict[str, float]:
    """The mean loss of each prompt ``[P, H]`` on the cell's first ``most`` training examples, in nats per answer token.

    ``heads`` are the scorers of encoders (of one member) that all of them are tried with, but for those that have their
    own in ``heads_of``.
    """
    where = Placement(placement)
    notes = opened.backbone.note_cache() if where in KEPT_NOTES else None
    longest = max(prompt.shape[-2] for prompt in prompts.values())
    rows: list[Row] = opened.rows(cell.train[:most], cell.task, reserve=longest)
    losses = {}
    for name, prompt in prompts.items():
        scorers = opened.heads([0], start=(heads_of or {}).get(name, heads))
        total, tokens = 0.0, 0
        for at in range(0, len(rows), 8):
            part = rows[at : at + 8]
            given = PromptVectors(prompt[None], where, owner=(0,) * len(part), heads=scorers)
            values = opened.backbone.forward(part, given, notes=notes).losses
            total, tokens = total + float(values.sum()), tokens + len(values)
        losses[name] = total / tokens
    return losses
