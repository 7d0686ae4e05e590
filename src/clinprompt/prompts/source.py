"""Where the prompts of a batch come from while they are trained."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from jaxtyping import Float, Int
from torch import Tensor


@dataclass(frozen=True, slots=True)
class ParameterGroup:
    """A tensor that training changes. ``per_member`` says that its first dimension counts the gang's members."""

    name: str
    tensor: Tensor
    per_member: bool


@runtime_checkable
class PromptSource(Protocol):
    """Prompts of N members side by side.

    ``lengths`` holds how many vectors each member's prompt has, 0 for methods without prompt. Members may differ:
    their tensors are padded to the longest, and what pads them is zero, looked at by nothing and without gradient.
    """

    n_members: int
    lengths: tuple[int, ...]

    def vectors(self, members: Int[Tensor, " M"]) -> Float[Tensor, "M *L P H"] | None:
        """The prompts of these members, one each, padded to the longest; ``None`` for methods without prompt."""
        ...

    def heads(self, members: Int[Tensor, " M"]) -> Mapping[str, Tensor]:
        """The heads of these members, tensors ``[M, ...]`` by name; none for decoders, which have their own."""
        ...

    def groups(self) -> Sequence[ParameterGroup]:
        """What is trained."""
        ...


@runtime_checkable
class FoldableSource(PromptSource, Protocol):
    """A source whose members are prompts, which can be finished and counted."""

    def folded(self) -> list[Float[Tensor, "*L _ H"]]:
        """The finished prompts in their own lengths, without gradient."""
        ...

    def trainable(self, member: int) -> int:
        """How many numbers a member trains."""
        ...
