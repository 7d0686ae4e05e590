"""AdamW for a gang: moments, rates, clipping and step counts of every member apart."""

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
        chosen = active.nonzero().flatten().tolist()
        self.steps += active
        self.shared_steps += 1
        own, shared = self._divisors(clip, chosen)
        for group, first, second in zip(self.groups, self.first, self.second, strict=True):
            gradient, device = group.tensor.grad, group.tensor.device
            if gradient is None:
                continue
            rate = rates[group.name].tolist()
            if group.per_member:
                counts, divisors = self.steps.to(device, torch.float32), own.to(device)
                columns = [x.unbind() for x in (group.tensor, gradient, first, second, counts, divisors)]
                for n in chosen:
                    self._update(*(column[n] for column in columns), rate=rate[n])
            else:
                counts = self.shared_steps.to(device, torch.float32)
                self._update(group.tensor, gradient, first, second, counts, shared.to(device), rate=rate)
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

    def _update(
        self,
        values: Tensor,
        gradient: Tensor,
        first: Tensor,
        second: Tensor,
        count: Tensor,
        divisor: Tensor,
        *,
        rate: float,
    ) -> None:
        # The kernel of torch.optim.AdamW(fused=True): one pass over memory, where its steps one by one take about ten.
        torch._fused_adamw_(
            [values],
            [gradient],
            [first],
            [second],
            [],
            [count],
            lr=rate,
            beta1=self.betas[0],
            beta2=self.betas[1],
            weight_decay=self.weight_decay,
            eps=self.eps,
            amsgrad=False,
            maximize=False,
            grad_scale=divisor,
        )

    def _divisors(self, clip: Tensor, chosen: Sequence[int]) -> tuple[Tensor, Tensor]:
        """What gradients are divided by to be clipped: of each member ``[N]``, and of all shared groups together."""
        squares, shared = torch.zeros(len(clip)), torch.zeros(())
        for group in self.groups:
            gradient = group.tensor.grad
            if gradient is None:
                continue
            exact = torch.promote_types(gradient.dtype, torch.float32)
            if group.per_member:
                squares += torch.linalg.vector_norm(gradient.reshape(len(clip), -1), dim=1, dtype=exact).square().cpu()
            else:
                shared += torch.linalg.vector_norm(gradient, dtype=exact).square().cpu()
        return tuple(
            ((norm.sqrt() + 1e-6) / most).clamp_min(1.0)
            for norm, most in ((squares, clip), (shared, clip[chosen].min()))
        )
