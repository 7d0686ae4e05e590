"""Where the prompts of a batch come from while they are trained."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from jaxtyping import Float, Int
from torch import Tensor


@dataclass(frozen=True, slots=True)
class ParameterGroup:
    """A tensor that training changes. ``per_member`` says that its first dimension counts the gang's members."""

    name: str
    tensor: Tensor
    per_member: bool


class PromptSource(Protocol):
    """Prompts of N members side by side; one prompt per row of a batch."""

    n_members: int

    def vectors(self, members: Int[Tensor, " B"]) -> Float[Tensor, "B P H"] | None:
        """The prompts of the members that the rows of a batch belong to; ``None`` for methods without prompt."""
        ...

    def groups(self) -> Sequence[ParameterGroup]:
        """What is trained."""
        ...
