"""Rows of different lengths and prompts as one rectangle: ``[prefix prompt] BOS context [suffix prompt] cue | answer``.

No padding ever stands between a prompt and its text: training pads on the right, generation on the left, with
explicit positions. A hole between them would shift the text's positions by the neighbours' lengths.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from clinprompt.backbones.protocol import Placement, Row


@dataclass(frozen=True, slots=True)
class CausalBatch:
    """Token ids ``[B, T]`` with room for ``P`` prompt vectors per row, their mask and positions.

    ``slots`` ``[B]`` is the column of each row's first prompt vector. ``answer_row`` and ``answer_column`` ``[A]``
    are the positions whose next token is an answer token, ``targets`` ``[A]`` these tokens.
    """

    ids: Tensor
    mask: Tensor
    positions: Tensor
    slots: Tensor
    prompt_length: int
    answer_row: Tensor
    answer_column: Tensor
    targets: Tensor


def collate(
    rows: Sequence[Row],
    *,
    prompt_length: int,
    placement: Placement,
    bos: int | None,
    pad: int,
    with_answers: bool,
) -> CausalBatch:
    """Lay rows out with (training: right padding) or without (generation: left padding) their answers."""
    start = [] if bos is None else [bos]
    hole = [pad] * prompt_length
    lines, slots = [], []
    for row in rows:
        before = start + list(row.context)
        if placement is Placement.prefix:
            line, slot = hole + before + list(row.cue), 0
        else:
            line, slot = before + hole + list(row.cue), len(before)
        # The last answer token is only ever a target, never an input.
        lines.append(line + list(row.answer[:-1]) if with_answers else line)
        slots.append(slot)
    T = max(len(line) for line in lines)
    ids = torch.full((len(rows), T), pad)
    mask = torch.zeros((len(rows), T), dtype=torch.long)
    answer_row, answer_column, targets = [], [], []
    for b, (row, line) in enumerate(zip(rows, lines, strict=True)):
        left = 0 if with_answers else T - len(line)
        ids[b, left : left + len(line)] = torch.tensor(line)
        mask[b, left : left + len(line)] = 1
        slots[b] += left
        if with_answers:
            first = len(line) - len(row.answer)  # position of the last cue token
            answer_row += [b] * len(row.answer)
            answer_column += range(first, len(line))
            targets += row.answer
    return CausalBatch(
        ids=ids,
        mask=mask,
        positions=(mask.cumsum(dim=1) - 1).clamp_min(0),
        slots=torch.tensor(slots),
        prompt_length=prompt_length,
        answer_row=torch.tensor(answer_row, dtype=torch.long),
        answer_column=torch.tensor(answer_column, dtype=torch.long),
        targets=torch.tensor(targets, dtype=torch.long),
    )


def place(embeds: Tensor, vectors: Tensor, slots: Tensor) -> Tensor:
    """Return embeddings ``[B, T, H]`` with each row's prompt ``[P, H]`` written at its slot; differentiable in both."""
    B, P, _ = vectors.shape
    row = torch.arange(B, device=embeds.device)[:, None].expand(B, P)
    column = slots.to(embeds.device)[:, None] + torch.arange(P, device=embeds.device)
    return embeds.index_put((row, column), vectors.to(embeds.dtype))
