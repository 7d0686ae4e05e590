"""Trainable parameters of prompt methods, counted from the tensors that would be trained."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from clinprompt.maths.decomposition import neutral_factors
from clinprompt.prompts.decomposed import DecomposedPrompts
from clinprompt.prompts.headed import headed
from clinprompt.prompts.plain import PlainPrompts


def trainable_numbers(
    *, length: int, rank: int, hidden: int, heads: Mapping[str, Tensor] | None = None
) -> dict[str, int]:
    """Numbers that a target trains, by method: ``prompt-tuning``, ``mpt``, and ``mpt, factors only``.

    ``heads`` are the span scorers of one member, ``[1, ...]`` each, which every method trains on an encoder.

    >>> trainable_numbers(length=100, rank=1, hidden=4096)
    {'prompt-tuning': 409600, 'mpt': 413796, 'mpt, factors only': 4196}
    """
    start = torch.zeros(length, hidden)
    factors = [neutral_factors(length, hidden, rank, seed=0)]
    sources = {
        "prompt-tuning": PlainPrompts(start[None]),
        "mpt": DecomposedPrompts(start, factors, shared=False),
        "mpt, factors only": DecomposedPrompts(start, factors, shared=False, train_metaprompt=False),
    }
    return {name: headed(source, heads or {}).trainable(0) for name, source in sources.items()}
