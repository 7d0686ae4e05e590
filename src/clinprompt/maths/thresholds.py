"""Where to put the border between yes and no."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from torch import Tensor

LEAST_RIGHT = 0.1
"""Share of right ones below which a threshold is not taken: a flood of false answers helps nobody, whatever its F1."""


def best_threshold(
    scores: Float[Tensor, " K"], right: Bool[Tensor, " K"], *, answers: int, least: float = LEAST_RIGHT
) -> float:
    """The threshold above which ``scores`` give the highest F1 against ``answers`` of which ``right`` ones are found.

    F1 = 2 · right / (given + answers). Of equally good ones the nearest to 0; halfway between two scores. Of what is
    given at least a share of ``least`` has to be right; 0 where there is no such threshold.

    >>> best_threshold(torch.tensor([-1.0, -2.0, -3.0]), torch.tensor([True, True, False]), answers=2)
    -2.5
    """
    if not answers or not right.any():
        return 0.0
    ordered, order = scores.double().sort(descending=True)
    given = torch.arange(1, len(ordered) + 1, device=scores.device)
    hits = right[order].cumsum(0)
    f1 = 2.0 * hits / (given + answers)
    below = torch.cat([ordered[1:], ordered[-1:] - 1.0])
    divides = (below < ordered) & (hits >= least * given)  # equal scores are all above or all below
    at_zero = 2.0 * right[scores > 0].sum() / ((scores > 0).sum() + answers)
    if not divides.any() or at_zero >= (best := f1[divides].max()):
        return 0.0
    places = ((ordered + below) / 2)[divides & (f1 == best)]
    return float(places[places.abs().argmin()])
