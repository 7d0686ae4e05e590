"""Questions of different lengths as one rectangle: ``[CLS] [prompt] question [SEP] context [SEP] [prompt]``.

Padding stands on the right, behind everything, where no token sees it and no position is shifted by it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from clinprompt.backbones.causal_batch import columns
from clinprompt.backbones.protocol import PromptVectors, ReadingRow


@dataclass(frozen=True, slots=True)
class EncoderBatch:
    """Token ids, mask and token types ``[B, T]`` with room for each row's prompt vectors.

    ``slot_row`` and ``slot_column`` ``[K]`` are the places of prompt vectors, ``slot_vector`` ``[K]`` which of the
    ``M * P`` vectors stands there. ``owner`` and ``column`` ``[A]`` are the rows and places of the context tokens of
    all rows, ``counted`` ``[A]`` whether they have characters of the context: marks have none.
    """

    ids: Tensor
    mask: Tensor
    types: Tensor
    slot_row: Tensor
    slot_column: Tensor
    slot_vector: Tensor
    owner: Tensor
    column: Tensor
    counted: Tensor

    def placed(self, states: Tensor, vectors: Tensor) -> Tensor:
        """States ``[B, T, H]`` with prompt vectors ``[M, P, H]`` at their places; differentiable in both."""
        chosen = vectors.to(states.device).flatten(0, 1)[self.slot_vector]  # [K, H]
        return states.index_put((self.slot_row, self.slot_column), chosen.to(states.dtype))


def collate_questions(
    rows: Sequence[ReadingRow], prompts: PromptVectors, *, lead: int, pad: int, device: torch.device
) -> EncoderBatch:
    """Lay rows out; ``lead`` counts the special tokens that stand before a prompt placed at the front."""
    P = prompts.vectors.shape[-2]
    owners = prompts.owners(len(rows))
    halves = [prompts.placement.split(prompts.length(owner)) for owner in owners]
    T = max(row.length + before + after for row, (before, after) in zip(rows, halves, strict=True))
    ids = torch.full((len(rows), T), pad)
    mask, types = torch.zeros_like(ids), torch.zeros_like(ids)
    slots: list[tuple[int, int, int]] = []
    context: list[tuple[int, int, int]] = []
    for b, (row, owner, (before, after)) in enumerate(zip(rows, owners, halves, strict=True)):
        stop = before + row.length
        tokens, kinds = torch.tensor(row.tokens), torch.tensor(row.segments)
        ids[b, :lead], ids[b, lead + before : stop] = tokens[:lead], tokens[lead:]
        types[b, :lead], types[b, lead + before : stop] = kinds[:lead], kinds[lead:]
        # Prompt vectors are of the text beside them: the question in front, the context behind.
        types[b, lead : lead + before], types[b, stop : stop + after] = kinds[lead], kinds[-1]
        mask[b, : stop + after] = 1
        slots += [(b, lead + j, owner * P + j) for j in range(before)]
        slots += [(b, stop + j, owner * P + before + j) for j in range(after)]
        context += [(b, before + row.first + k, place is not None) for k, place in enumerate(row.places)]
    owner_of, column, counted = columns(context)
    parts = (ids, mask, types, *columns(slots), owner_of, column, counted.bool())
    return EncoderBatch(*(part.to(device) for part in parts))


def parts_of(lengths: Sequence[int], tokens: int) -> list[list[int]]:
    """Numbers of rows of similar length, longest first, at most ``tokens`` of them together with padding.

    >>> parts_of([3, 9, 4], 10)
    [[1], [2, 0]]
    """
    parts: list[list[int]] = []
    for b in sorted(range(len(lengths)), key=lambda b: -lengths[b]):  # so the first of a part is its longest
        if not parts or lengths[parts[-1][0]] * (len(parts[-1]) + 1) > tokens:
            parts.append([])
        parts[-1].append(b)
    return parts
