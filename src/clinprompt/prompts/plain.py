"""Free prompts: every vector is a parameter (prompt tuning, arXiv 2104.08691)."""

from __future__ import annotations

from collections.abc import Sequence

from jaxtyping import Float, Int
from torch import Tensor

from clinprompt.prompts.padded import padded
from clinprompt.prompts.source import ParameterGroup


class PlainPrompts:
    """N free prompts, each ``[P, H]`` and trained in float32; their lengths may differ.

    ``[L, P, H]`` are those of :class:`~clinprompt.prompts.per_layer.PerLayerPrompts`.
    """

    def __init__(self, start: Float[Tensor, "N *L P H"] | Sequence[Float[Tensor, "*L _ H"]]) -> None:
        self.lengths = tuple(vectors.shape[-2] for vectors in start)
        self.n_members = len(self.lengths)
        self.values = padded(start).requires_grad_()

    def vectors(self, members: Int[Tensor, " M"]) -> Float[Tensor, "M *L P H"]:
        """The members' prompts, padded to the longest of all."""
        return self.values[members]

    def heads(self, members: Int[Tensor, " M"]) -> dict[str, Tensor]:
        """None of its own."""
        return {}

    def groups(self) -> list[ParameterGroup]:
        """One group, ``prompt``."""
        return [ParameterGroup("prompt", self.values, per_member=True)]

    def folded(self) -> list[Float[Tensor, "*L _ H"]]:
        """The finished prompts in their own lengths, without gradient."""
        whole = zip(self.values.detach(), self.lengths, strict=True)
        return [values[..., :length, :].clone() for values, length in whole]

    def trainable(self, member: int) -> int:
        """How many numbers a member trains."""
        return self.folded()[member].numel()
