"""Free prompts: every vector is a parameter (prompt tuning, arXiv 2104.08691)."""

from __future__ import annotations

from jaxtyping import Float, Int
from torch import Tensor

from clinprompt.prompts.source import ParameterGroup


class PlainPrompts:
    """N free prompts of one length, started at ``start`` ``[N, P, H]`` (float32)."""

    def __init__(self, start: Float[Tensor, "N P H"]) -> None:
        self.n_members = start.shape[0]
        self.values = start.detach().clone().float().requires_grad_()

    def vectors(self, members: Int[Tensor, " B"]) -> Float[Tensor, "B P H"]:
        """The members' prompts, row by row."""
        return self.values[members]

    def groups(self) -> list[ParameterGroup]:
        """One group, ``prompt``."""
        return [ParameterGroup("prompt", self.values, per_member=True)]

    def folded(self) -> Float[Tensor, "N P H"]:
        """The finished prompts, without gradient."""
        return self.values.detach().clone()
