"""What an encoder trains: a prompt or none, a head for each member, and its own weights when they are not frozen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor

from clinprompt.prompts.source import FoldableSource, ParameterGroup

HEAD = "head/"
"""What the names of the heads' groups begin with."""


class Headed:
    """Heads of N members beside their prompts (``None``: no prompt), and the backbone's ``weights`` for one member.

    ``heads`` are tensors ``[N, ...]`` by name, among them ``edges`` ``[N, 2, H]``; they are copied and trained in
    float32. With ``shared`` they are ``[1, ...]``, one set for all members. Raises ``ValueError`` when prompts and
    heads are of different numbers of members, when there are weights and several members (they would train one network
    together), and when two groups have one name.
    """

    def __init__(
        self,
        prompts: FoldableSource | None,
        heads: Mapping[str, Tensor],
        weights: Sequence[ParameterGroup] = (),
        *,
        shared: bool = False,
    ) -> None:
        self.hidden, self.shared = heads["edges"].shape[-1], shared
        self.n_members = prompts.n_members if shared and prompts is not None else heads["edges"].shape[0]
        self.prompts, self.weights = prompts, list(weights)
        self.lengths = (0,) * self.n_members if prompts is None else prompts.lengths
        self.scorers = {
            name: tensor.detach().to(torch.float32, copy=True).requires_grad_() for name, tensor in heads.items()
        }
        counts = {len(tensor) * (self.n_members if shared else 1) for tensor in self.scorers.values()}
        counts |= {len(self.lengths)}
        if len(counts) > 1:
            raise ValueError(f"prompts and heads are of different numbers of members: {sorted(counts)}")
        if self.weights and self.n_members > 1:
            raise ValueError(f"{self.n_members} members cannot train one backbone's weights")
        names = [group.name for group in self.groups()]
        if len(set(names)) < len(names):
            raise ValueError(f"two groups have one name: {sorted(name for name in names if names.count(name) > 1)[0]}")

    def vectors(self, members: Int[Tensor, " M"]) -> Float[Tensor, "M *L P H"]:
        """The members' prompts; without prompts none of them has a vector (P = 0), but each has its heads."""
        if self.prompts is None:
            return torch.zeros(len(members), 0, self.hidden, device=self.scorers["edges"].device)
        return self.prompts.vectors(members)

    def heads(self, members: Int[Tensor, " M"]) -> dict[str, Tensor]:
        """The heads of these members, one each."""
        places = torch.zeros_like(members) if self.shared else members
        return {name: tensor[places] for name, tensor in self.scorers.items()}

    def groups(self) -> list[ParameterGroup]:
        """The prompts' groups, ``head/...`` for each tensor of the heads, and the weights."""
        prompts = [] if self.prompts is None else list(self.prompts.groups())
        heads = [
            ParameterGroup(HEAD + name, tensor, per_member=not self.shared) for name, tensor in self.scorers.items()
        ]
        return [*prompts, *heads, *self.weights]

    def folded(self) -> list[Float[Tensor, "*L _ H"]]:
        """The finished prompts in their own lengths, without gradient; ``[0, H]`` where there is none."""
        if self.prompts is None:
            return [torch.zeros(0, self.hidden) for _ in range(self.n_members)]
        return self.prompts.folded()

    def folded_heads(self, member: int) -> dict[str, Tensor]:
        """One member's finished heads, without gradient and without the dimension of members."""
        place = 0 if self.shared else member
        return {name: tensor[place].detach().clone() for name, tensor in self.scorers.items()}

    def trainable(self, member: int) -> int:
        """How many numbers a member trains: prompt, heads and weights."""
        prompt = 0 if self.prompts is None else self.prompts.trainable(member)
        heads = sum(tensor[0].numel() for tensor in self.scorers.values())
        return prompt + heads + sum(group.tensor.numel() for group in self.weights)


def headed(prompts: FoldableSource, heads: Mapping[str, Tensor], *, shared: bool = False) -> FoldableSource:
    """The prompts with heads beside them; without heads (decoders) the prompts as they are."""
    return Headed(prompts, heads, shared=shared) if heads else prompts


def head_rates(heads: Mapping[str, Tensor], rate: float) -> dict[str, float]:
    """The same peak rate for each group of the heads."""
    return dict.fromkeys([HEAD + name for name in heads], rate)


def member_heads(source: FoldableSource, member: int) -> dict[str, Tensor]:
    """One member's finished heads; none where the source has none."""
    return source.folded_heads(member) if isinstance(source, Headed) else {}
