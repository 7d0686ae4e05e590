"""Prompts with a weighted sum of frozen source prompts in them (after ATTEMPT, arXiv 2205.11961)."""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor

from clinprompt.maths.attention import attended, attention_weights
from clinprompt.prompts.source import ParameterGroup


class AttendedPrompts:
    """N free prompts, each plus its own weighted sum of the same K source prompts, which stay as they are.

    Prompts are ``[P, H]``, or ``[L, P, H]`` with vectors in every layer. ``start`` are the free prompts and ``logits``
    ``[N, K]`` the attention before training, both trained in float32; weights are softmax(logits / ``temperature``).
    They belong to a task, not to an input, so that a finished prompt is plain vectors.
    """

    def __init__(
        self,
        start: Float[Tensor, "N *L P H"],
        sources: Float[Tensor, "K *L P H"],
        logits: Float[Tensor, "N K"],
        *,
        temperature: float = 1.0,
    ) -> None:
        self.n_members, self.lengths = len(start), (start.shape[-2],) * len(start)
        self.temperature = temperature
        self.values = start.detach().to(torch.float32, copy=True).requires_grad_()
        self.sources = sources.detach().to(self.values.device, torch.float32)
        self.logits = logits.detach().to(self.values.device, torch.float32, copy=True).requires_grad_()

    def vectors(self, members: Int[Tensor, " M"]) -> Float[Tensor, "M *L P H"]:
        """The members' prompts, their part of the sources in them."""
        weights = attention_weights(self.logits[members], temperature=self.temperature)
        return attended(self.values[members], self.sources, weights)

    def heads(self, members: Int[Tensor, " M"]) -> dict[str, Tensor]:
        """None of its own."""
        return {}

    def groups(self) -> list[ParameterGroup]:
        """``prompt``, the free prompts, and ``logits``."""
        return [
            ParameterGroup("prompt", self.values, per_member=True),
            ParameterGroup("logits", self.logits, per_member=True),
        ]

    @torch.no_grad()
    def folded(self) -> list[Float[Tensor, "*L P H"]]:
        """The finished prompts, without gradient: prediction needs no sources."""
        return [vectors.clone() for vectors in self.vectors(torch.arange(self.n_members))]

    def weights(self, member: int) -> Float[Tensor, "1 K"]:
        """How much of each source a member has, without gradient."""
        return attention_weights(self.logits.detach()[member], temperature=self.temperature)[None]

    def trainable(self, member: int) -> int:
        """How many numbers a member trains: its free prompt and one logit per source."""
        return self.values[member].numel() + self.logits[member].numel()
