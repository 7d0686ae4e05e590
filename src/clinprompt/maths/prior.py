"""A Gaussian prior of a target's prompt: as near to its start as the sources' prompts are to each other."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor


def source_variance(prompts: Float[Tensor, "K *L P H"]) -> Float[Tensor, "*L P H"]:
    """Return the variance of each entry over K source prompts, drawn towards the mean variance of all entries.

    ((K - 1) s² + m) / K with the unbiased variance s² of the entry and the mean m of all of these: as if one more
    observation had the mean variance, so that with few sources no entry is held fast by chance. This shrinkage is a
    choice of ours. Where nothing varies (one source, or equal ones) it is the mean square of the prompts everywhere.

    >>> source_variance(torch.tensor([[[0.0, 2.0]], [[4.0, 2.0]]]))
    tensor([[6., 2.]])
    """
    K = prompts.shape[0]
    own = prompts.var(dim=0) if K > 1 else torch.zeros_like(prompts[0])
    mean = own.mean()
    if not mean > 0:
        return torch.full_like(own, float(prompts.square().mean()))
    return ((K - 1) * own + mean) / K


def pull(
    vectors: Float[Tensor, "M *L P H"], centre: Float[Tensor, "M *L P H"], variance: Float[Tensor, "M *L P H"]
) -> Float[Tensor, " M"]:
    """Return ½ · mean of (vectors - centre)² / variance per member: a Gaussian's negative logarithm, per entry.

    Up to a constant it is that of a diagonal Gaussian (Bishop 2006, section 2.3), divided by the number of entries, so
    that a weight means the same for prompts of any length and width.
    """
    return 0.5 * ((vectors - centre).square() / variance).flatten(1).mean(dim=1)
