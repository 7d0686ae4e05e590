"""Keeps, for every member, the values that did best on its dev rows."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from clinprompt.prompts.source import ParameterGroup


class Selection:
    """The best values so far, by lowest dev loss.

    Members of a gang are judged each for itself. As soon as a group is shared, members depend on each other and
    all values are kept together, by the mean of the dev losses. Members without dev rows keep their last values.
    """

    def __init__(self, groups: Sequence[ParameterGroup], *, n_members: int) -> None:
        self.together = any(not group.per_member for group in groups)
        self.n_members = n_members
        self.losses = torch.full((1 if self.together else n_members,), math.nan)
        self.since = torch.zeros_like(self.losses, dtype=torch.long)
        self.values: list[Tensor] = []

    def consider(self, losses: Sequence[float], groups: Sequence[ParameterGroup]) -> None:
        """Take over the current values wherever they beat the kept ones."""
        known = [loss for loss in losses if math.isfinite(loss)]
        if not known:
            return
        found = torch.tensor([sum(known) / len(known)] if self.together else list(losses))
        better = torch.isfinite(found) & ~(found >= self.losses)  # a NaN kept so far is beaten by any number
        if not self.values:
            self.values = [group.tensor.detach().clone() for group in groups]
        for kept, group in zip(self.values, groups, strict=True):
            if self.together:
                if bool(better[0]):
                    kept.copy_(group.tensor.detach())
            else:
                rows = better.nonzero().flatten().to(kept.device)
                kept[rows] = group.tensor.detach()[rows]
        self.losses = torch.where(better, found, self.losses)
        self.since = torch.where(better, 0, self.since + torch.isfinite(found))

    @torch.no_grad()
    def restore(self, groups: Sequence[ParameterGroup]) -> None:
        """Put the kept values back where there are any."""
        judged = torch.isfinite(self.losses)
        for kept, group in zip(self.values, groups, strict=bool(self.values)):
            if self.together:
                group.tensor.copy_(kept)
            else:
                rows = judged.nonzero().flatten().to(kept.device)
                group.tensor[rows] = kept[rows]

    def best_losses(self) -> list[float]:
        """The lowest dev loss of each member, NaN for those never judged."""
        return self.losses.expand(self.n_members).tolist()

    def looks_in_vain(self) -> list[int]:
        """For each member, how many looks in a row have not lowered its dev loss."""
        return self.since.expand(self.n_members).tolist()

    def tensors(self) -> dict[str, Tensor]:
        """The state, for a checkpoint."""
        return {"losses": self.losses, "since": self.since} | {
            f"value{i}": value for i, value in enumerate(self.values)
        }

    def load(self, state: Mapping[str, Tensor]) -> None:
        """Continue from a saved state."""
        self.losses = state["losses"].clone()
        self.since = state["since"].clone()
        self.values = [state[f"value{i}"].clone() for i in range(len(state) - 2)]
