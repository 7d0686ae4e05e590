"""AdamW for a gang: moments, rates, clipping and step counts of every member apart, arithmetic for all at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from clinprompt.prompts.source import ParameterGroup


class GangAdamW:
    """Decoupled-weight-decay Adam (arXiv 1711.05101) over per-member and shared groups.

    A member's update equals that of ``torch.optim.AdamW`` with ``clip_grad_norm_`` run on that member alone. A
    member that is not active in a step keeps its values, moments and step count. Shared groups are clipped
    together and count their own steps.
    """

    def __init__(
        self,
        groups: Sequence[ParameterGroup],
        *,
        n_members: int,
        betas: tuple[float, float] = (0.9, 0.98),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
    ) -> None:
        self.groups, self.betas, self.eps, self.weight_decay = list(groups), betas, eps, weight_decay
        self.first = [torch.zeros_like(group.tensor) for group in self.groups]
        self.second = [torch.zeros_like(group.tensor) for group in self.groups]
        self.steps = torch.zeros(n_members, dtype=torch.long)
        self.shared_steps = torch.zeros((), dtype=torch.long)

    @torch.no_grad()
    def step(self, rates: Mapping[str, Tensor], *, active: Tensor, clip: Tensor) -> None:
        """Update active members and clear all gradients.

        ``rates`` maps group names to learning rates, ``[N]`` for per-member groups and scalar for shared ones;
        ``active`` is bool ``[N]``; ``clip`` ``[N]`` is the largest gradient norm of a member (infinite for none).
        """
        chosen = active.nonzero().flatten()
        self.steps[chosen] += 1
        self.shared_steps += 1
        member_scale = self._scale([g for g in self.groups if g.per_member], chosen, clip[chosen])
        shared_scale = self._shared_scale(clip[chosen].min())
        for group, first, second in zip(self.groups, self.first, self.second, strict=True):
            gradient = group.tensor.grad
            if gradient is None:
                continue
            if group.per_member:
                rows = chosen.to(group.tensor.device)
                shape = (-1,) + (1,) * (group.tensor.ndim - 1)
                scale, rate, count = (
                    x.to(group.tensor.device, torch.float32).view(shape)
                    for x in (member_scale, rates[group.name][chosen], self.steps[chosen])
                )
                values, m, v = group.tensor[rows], first[rows], second[rows]
                values, m, v = self._adam(values, m, v, gradient[rows] * scale, rate, count)
                group.tensor[rows], first[rows], second[rows] = values, m, v
            else:
                rate = rates[group.name].to(group.tensor.device)
                count = self.shared_steps.to(group.tensor.device, torch.float32)
                values, m, v = self._adam(group.tensor, first, second, gradient * shared_scale, rate, count)
                group.tensor.copy_(values)
                first.copy_(m)
                second.copy_(v)
            group.tensor.grad = None

    def tensors(self) -> dict[str, Tensor]:
        """The whole state, for a checkpoint; :meth:`load` takes it back."""
        state = {"steps": self.steps, "shared_steps": self.shared_steps}
        for group, first, second in zip(self.groups, self.first, self.second, strict=True):
            state |= {f"first/{group.name}": first, f"second/{group.name}": second}
        return state

    def load(self, state: Mapping[str, Tensor]) -> None:
        """Continue from a saved state, exactly."""
        for name, tensor in self.tensors().items():
            tensor.copy_(state[name])

    def _adam(
        self, values: Tensor, m: Tensor, v: Tensor, gradient: Tensor, rate: Tensor, count: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        b1, b2 = self.betas
        m = b1 * m + (1 - b1) * gradient
        v = b2 * v + (1 - b2) * gradient.square()
        denominator = (v / (1 - b2**count)).sqrt() + self.eps
        step = (m / (1 - b1**count)) / denominator
        return values * (1 - rate * self.weight_decay) - rate * step, m, v

    def _scale(self, groups: list[ParameterGroup], chosen: Tensor, clip: Tensor) -> Tensor:
        square = torch.zeros(len(chosen))
        for group in groups:
            if group.tensor.grad is not None:
                rows = group.tensor.grad[chosen.to(group.tensor.device)]
                square += rows.flatten(1).float().square().sum(dim=1).cpu()
        return (clip / (square.sqrt() + 1e-6)).clamp_max(1.0)

    def _shared_scale(self, clip: Tensor) -> float:
        grads = [g.tensor.grad for g in self.groups if not g.per_member and g.tensor.grad is not None]
        if not grads:
            return 1.0
        norm = torch.stack([grad.float().norm().cpu() for grad in grads]).norm()
        return float((clip / (norm + 1e-6)).clamp_max(1.0))
