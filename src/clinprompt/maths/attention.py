"""A task's own prompt plus a weighted sum of other tasks' prompts, after ATTEMPT (arXiv 2205.11961)."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor


def attention_weights(logits: Float[Tensor, "*N K"], *, temperature: float) -> Float[Tensor, "*N K"]:
    """Return weights that sum to one, softmax(logits / temperature).

    >>> attention_weights(torch.zeros(4), temperature=2.0).tolist()
    [0.25, 0.25, 0.25, 0.25]
    """
    return torch.softmax(logits / temperature, dim=-1)


def attended(
    own: Float[Tensor, "*NLP H"], sources: Float[Tensor, "K *LP H"], weights: Float[Tensor, "*N K"]
) -> Float[Tensor, "*NLP H"]:
    """Return P + Σ_k a_k P_k, the own prompts plus each one's weighted sum of the source prompts.

    In the paper the weights are made anew for every input by a small network, and the own prompt is one of the prompts
    that they weigh as well.
    """
    return own + (weights @ sources.flatten(1)).reshape(own.shape)
