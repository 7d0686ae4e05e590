"""Where a prompt begins: at real embeddings, never at N(0, 1), which lies far from anything the backbone has seen."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from clinprompt.errors import InputError


def from_vocabulary(table: Float[Tensor, "V H"], *, length: int, seed: int) -> Float[Tensor, "P H"]:
    """Return the embeddings of ``length`` different random tokens (Lester et al. 2021, sampled vocabulary)."""
    generator = torch.Generator().manual_seed(seed)
    chosen = torch.randperm(table.shape[0], generator=generator)[:length]
    if len(chosen) < length:
        raise InputError(f"a prompt of {length} vectors is longer than the vocabulary of {table.shape[0]} tokens")
    return table[chosen.to(table.device)].detach().float().cpu()


def from_tokens(table: Float[Tensor, "V H"], tokens: Sequence[int], *, length: int) -> Float[Tensor, "P H"]:
    """Return the embeddings of a text's tokens, repeated or cut to ``length`` (text initialisation)."""
    if not tokens:
        raise InputError("a prompt cannot start from an empty text", fix="give the task an instruction")
    cycled = [tokens[i % len(tokens)] for i in range(length)]
    return table[torch.tensor(cycled, device=table.device)].detach().float().cpu()
