"""The prompts every variant starts from, so that ours and the peers' are the same numbers."""

from __future__ import annotations

import torch
from torch import Tensor

from clinprompt.maths.decomposition import TaskFactors
from clinprompt.prompts.decomposed import DecomposedPrompts
from clinprompt.prompts.plain import PlainPrompts


def starts(count: int, *, length: int, width: int, seed: int = 0) -> Tensor:
    """Random prompts ``[N, P, H]`` in the scale of the models' embeddings."""
    return 0.02 * torch.randn(count, length, width, generator=torch.Generator().manual_seed(seed))


def free(start: Tensor, *, device: str) -> PlainPrompts:
    """Free prompts that start there."""
    return PlainPrompts(start.to(device))


def factors(tasks: int, *, length: int, width: int, seed: int = 1) -> tuple[Tensor, Tensor]:
    """Rank-one factors ``[N, P, 1]`` and ``[N, 1, H]`` around one, different for every task."""
    chance = torch.Generator().manual_seed(seed)
    rows = 1 + 0.1 * torch.randn(tasks, length, 1, generator=chance)
    cols = 1 + 0.1 * torch.randn(tasks, 1, width, generator=chance)
    return rows, cols


def decomposed(metaprompt: Tensor, rows: Tensor, cols: Tensor, *, device: str) -> DecomposedPrompts:
    """One metaprompt ``[P, H]`` shared by all tasks, and the tasks' factors."""
    pairs = [TaskFactors(u.to(device), v.to(device)) for u, v in zip(rows, cols, strict=True)]
    return DecomposedPrompts(metaprompt.to(device), pairs, shared=True)
