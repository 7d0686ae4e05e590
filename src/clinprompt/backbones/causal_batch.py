"""Rows of different lengths and prompts as one rectangle: ``[prompt] BOS context [prompt] cue | answer``.

No padding ever stands between a prompt and its text: training pads on the right, generation on the left, with
explicit positions. A hole between them would shift the text's positions by the neighbours' lengths.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from clinprompt.backbones.protocol import PromptVectors, Row


@dataclass(frozen=True, slots=True)
class CausalBatch:
    """Token ids ``[B, T]`` with room for each row's prompt vectors, their mask and positions.

    ``slot_row`` and ``slot_column`` ``[K]`` are the places of prompt vectors, ``slot_vector`` ``[K]`` which of the
    ``M * P`` vectors stands there. ``answer_row`` and ``answer_column`` ``[A]`` are the positions whose next token is
    an answer token, ``targets`` ``[A]`` these tokens.
    """

    ids: Tensor
    mask: Tensor
    positions: Tensor
    slot_row: Tensor
    slot_column: Tensor
    slot_vector: Tensor
    answer_row: Tensor
    answer_column: Tensor
    targets: Tensor


def collate(
    rows: Sequence[Row], prompts: PromptVectors | None, *, bos: int | None, pad: int, with_answers: bool
) -> CausalBatch:
    """Lay rows out with (training: right padding) or without (generation: left padding) their answers."""
    start = [] if bos is None else [bos]
    lines: list[list[int]] = []
    slots: list[tuple[int, int, int]] = []
    for b, row in enumerate(rows):
        before = after = first = 0
        if prompts is not None:
            owner = prompts.owners(len(rows))[b]
            before, after = prompts.placement.split(prompts.length(owner))
            first = owner * prompts.vectors.shape[-2]
        line = [pad] * before + start + list(row.context)
        slots += [(b, j, first + j) for j in range(before)]
        slots += [(b, len(line) + j, first + before + j) for j in range(after)]
        line += [pad] * after + list(row.cue)
        # The last answer token is only ever a target, never an input.
        lines.append(line + list(row.answer[:-1]) if with_answers else line)
    T = max(len(line) for line in lines)
    ids = torch.full((len(rows), T), pad)
    mask = torch.zeros((len(rows), T), dtype=torch.long)
    lefts = [0 if with_answers else T - len(line) for line in lines]
    answers: list[tuple[int, int, int]] = []
    for b, (row, line, left) in enumerate(zip(rows, lines, lefts, strict=True)):
        ids[b, left : left + len(line)] = torch.tensor(line)
        mask[b, left : left + len(line)] = 1
        if with_answers:
            first = len(line) - len(row.answer)  # position of the last cue token
            answers += [(b, first + i, token) for i, token in enumerate(row.answer)]
    answer_row, answer_column, targets = columns(answers)
    slot_row, slot_column, slot_vector = columns([(b, lefts[b] + column, vector) for b, column, vector in slots])
    return CausalBatch(
        ids=ids,
        mask=mask,
        positions=(mask.cumsum(dim=1) - 1).clamp_min(0),
        slot_row=slot_row,
        slot_column=slot_column,
        slot_vector=slot_vector,
        answer_row=answer_row,
        answer_column=answer_column,
        targets=targets,
    )


def columns(triples: Sequence[tuple[int, int, int]]) -> tuple[Tensor, Tensor, Tensor]:
    """Return three index tensors ``[K]`` from a list of triples."""
    table = torch.tensor(triples, dtype=torch.long).reshape(-1, 3)
    return table[:, 0], table[:, 1], table[:, 2]
