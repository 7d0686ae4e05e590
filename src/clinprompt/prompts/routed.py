"""Prompts that are mixtures of low-rank factors, by segments (after PT-MoE, arXiv 2505.09519)."""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor

from clinprompt.maths.attention import attention_weights
from clinprompt.maths.routing import routed
from clinprompt.prompts.source import ParameterGroup


class RoutedPrompts:
    """N prompts, each a mixture of K experts A_k B_k, trained in float32.

    ``logits`` ``[N, S, K]`` are the gates before softmax(logits / ``temperature``), for each of S segments of the
    prompt's vectors. They belong to a task, not to an input, so that a finished prompt is plain vectors.

    With a ``metaprompt`` ``[P, H]`` the prompt is metaprompt ∘ mixture, and the experts, ``rows`` ``[1, K, P, R]`` and
    ``cols`` ``[1, K, R, H]`` for all members, stay as they are; each member trains a copy of the metaprompt unless
    ``train_metaprompt`` is off. Without one the experts are the members' own, ``rows`` ``[N, K, P, R]`` and the
    ``cols`` that a member's experts share, ``[N, 1, R, H]``, and train.
    """

    def __init__(
        self,
        rows: Float[Tensor, "E K P R"],
        cols: Float[Tensor, "E F R H"],
        logits: Float[Tensor, "N S K"],
        *,
        metaprompt: Float[Tensor, "P H"] | None = None,
        train_metaprompt: bool = True,
        temperature: float = 1.0,
    ) -> None:
        self.n_members, self.lengths = len(logits), (rows.shape[2],) * len(logits)
        self.temperature = temperature
        self.rows, self.cols, self.logits = (_copy(tensor) for tensor in (rows, cols, logits))
        self.logits.requires_grad_()
        self.metaprompt, self.train_metaprompt = None, metaprompt is not None and train_metaprompt
        if metaprompt is None:
            self.rows.requires_grad_()
            self.cols.requires_grad_()
        else:
            copies = self.n_members if train_metaprompt else 1
            self.metaprompt = _copy(torch.stack([metaprompt] * copies)).requires_grad_(train_metaprompt)

    def vectors(self, members: Int[Tensor, " M"]) -> Float[Tensor, "M P H"]:
        """The members' mixtures."""
        gates = attention_weights(self.logits[members], temperature=self.temperature)
        if self.metaprompt is None:
            return routed(self.rows[members], self.cols[members], gates)
        metaprompt = self.metaprompt[members] if self.train_metaprompt else self.metaprompt
        return metaprompt * routed(self.rows[0], self.cols[0], gates)

    def heads(self, members: Int[Tensor, " M"]) -> dict[str, Tensor]:
        """None of its own."""
        return {}

    def groups(self) -> list[ParameterGroup]:
        """``logits`` and, where they train, ``metaprompt`` or ``rows`` and ``cols``."""
        found = {"logits": self.logits}
        if self.metaprompt is None:
            found |= {"rows": self.rows, "cols": self.cols}
        elif self.train_metaprompt:
            found |= {"metaprompt": self.metaprompt}
        return [ParameterGroup(name, tensor, per_member=True) for name, tensor in found.items()]

    @torch.no_grad()
    def folded(self) -> list[Float[Tensor, "P H"]]:
        """The finished prompts, without gradient: prediction needs no experts and no gates."""
        return [vectors.clone() for vectors in self.vectors(torch.arange(self.n_members))]

    def weights(self, member: int) -> Float[Tensor, "S K"]:
        """A member's gates, without gradient."""
        return attention_weights(self.logits.detach()[member], temperature=self.temperature)

    def trainable(self, member: int) -> int:
        """How many numbers a member trains: its gates, and its metaprompt or its experts."""
        return sum(group.tensor[member].numel() for group in self.groups())


def _copy(tensor: Tensor) -> Tensor:
    return tensor.detach().to(torch.float32, copy=True)
