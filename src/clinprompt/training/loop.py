"""The one training loop: prompts, factors, low-rank updates or whole networks, one member or many side by side."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor

from clinprompt.backbones.protocol import Backbone, Placement, PromptVectors, Row
from clinprompt.maths.distillation import member_means
from clinprompt.maths.schedule import rate_factor
from clinprompt.prompts.source import ParameterGroup, PromptSource
from clinprompt.training.checkpoint import load_checkpoint, save_checkpoint
from clinprompt.training.gang import Cursors, Member, Mixture, rows_for_step
from clinprompt.training.objectives import Distillation, distillation_losses, token_losses
from clinprompt.training.optimiser import GangAdamW
from clinprompt.training.selection import Selection


@dataclass(frozen=True, slots=True)
class StepReport:
    """What a watcher sees after each step: number of the step, steps in all, and each member's answer loss."""

    step: int
    steps: int
    losses: dict[str, float]


@dataclass
class TrainingResult:
    """How each member ended: last answer loss, best dev loss, steps done, and who diverged."""

    losses: dict[str, float] = field(default_factory=dict)
    dev_losses: dict[str, float] = field(default_factory=dict)
    steps: dict[str, int] = field(default_factory=dict)
    diverged: list[str] = field(default_factory=list)
    seconds: float = 0.0


def train(
    backbone: Backbone,
    source: PromptSource,
    members: Sequence[Member],
    *,
    placement: Placement,
    mixture: Mixture | None = None,
    distillation: Distillation | None = None,
    tokens_per_forward: int = 8192,
    dev_every: int = 50,
    checkpoint: Path | None = None,
    save_every: float = 20.0,
    watch: Callable[[StepReport], None] = lambda report: None,
) -> TrainingResult:
    """Train the source's parameters in place and return how it went.

    Each member's loss is the mean over its own answer tokens of the step; members' losses are summed, so that a
    gang of N gives each member the gradient it would have alone. A member whose loss is not finite leaves with the
    values it had. With ``checkpoint`` the state is saved at least every ``save_every`` seconds and a later call with
    the same arguments continues exactly.
    """
    loop = _Loop(backbone, source, members, placement, mixture, distillation, tokens_per_forward)
    total = max(member.steps for member in members)
    if checkpoint is not None:
        loop.resume(checkpoint)
    begun = saved = time.monotonic()
    for step in range(loop.step, total):
        losses = loop.advance(step)
        last = step + 1 == total
        if (step + 1) % dev_every == 0 or last:
            loop.selection.consider(loop.dev_losses(), loop.groups)
        if checkpoint is not None and (last or time.monotonic() - saved > save_every):
            loop.save(checkpoint)
            saved = time.monotonic()
        watch(StepReport(step + 1, total, losses))
    loop.selection.restore(loop.groups)
    return loop.result(time.monotonic() - begun)


class _Loop:
    """State of one training run between steps."""

    def __init__(
        self,
        backbone: Backbone,
        source: PromptSource,
        members: Sequence[Member],
        placement: Placement,
        mixture: Mixture | None,
        distillation: Distillation | None,
        tokens_per_forward: int,
    ) -> None:
        self.backbone, self.source, self.members = backbone, source, members
        self.placement, self.mixture, self.distillation = placement, mixture, distillation
        self.tokens_per_forward = tokens_per_forward
        self.groups: list[ParameterGroup] = list(source.groups())
        self.notes = backbone.note_cache() if placement is Placement.suffix else None
        self.optimiser = GangAdamW(self.groups, n_members=len(members))
        self.selection = Selection(self.groups, n_members=len(members))
        self.clip = torch.tensor([member.clip for member in members])
        self.alive = [True] * len(members)
        self.cursors = Cursors([0] * len(members))
        self.last_losses = [math.nan] * len(members)
        self.step = 0

    def advance(self, step: int) -> dict[str, float]:
        """Run one optimiser step; returns the answer losses of the members that took part."""
        picked = rows_for_step(self.members, self.alive, self.cursors, step=step, mixture=self.mixture)
        self.step = step + 1
        counts = torch.zeros(len(self.members))
        for n, row in picked:
            counts[n] += len(row.answer)
        answer = torch.zeros(len(self.members))
        for chunk in self._chunks(picked):
            answer += self._backward(chunk, counts)
        active = counts > 0
        for n in active.nonzero().flatten().tolist():
            self.last_losses[n] = float(answer[n])
            if not math.isfinite(float(answer[n])):
                self.alive[n] = False
        if self.mixture is not None and not all(self.alive):
            # A shared metaprompt has taken part of the bad gradient: nothing of this step may be kept.
            self._forget_gradients()
            return self._reported(active)
        active &= torch.tensor(self.alive)
        if bool(active.any()):
            self.optimiser.step(self._rates(step), active=active, clip=self.clip)
        return self._reported(active)

    def _backward(self, chunk: list[tuple[int, Row]], counts: Tensor) -> Tensor:
        members = torch.tensor([n for n, _ in chunk])
        rows = [row for _, row in chunk]
        vectors = self.source.vectors(members)
        prompts = None if vectors is None else PromptVectors(vectors, self.placement)
        layers = self.distillation.hidden_layers if self.distillation else ()
        output = self.backbone.forward(rows, prompts, hidden_layers=layers, notes=self.notes)
        answer = token_losses(output)
        values = answer
        if self.distillation is not None:
            values = values + distillation_losses(
                self.backbone, rows, members, output, self.distillation, notes=self.notes
            )
        token_member = members.to(output.row.device)[output.row]
        counts = counts.to(values.device)
        member_means(values, token_member, counts).sum().backward()
        return member_means(answer.detach(), token_member, counts).cpu()

    def _chunks(self, picked: list[tuple[int, Row]]) -> Iterator[list[tuple[int, Row]]]:
        """Rows of similar length together, at most ``tokens_per_forward`` padded tokens at a time."""
        chunk: list[tuple[int, Row]] = []
        for item in sorted(picked, key=lambda pair: pair[1].length):
            if chunk and (len(chunk) + 1) * item[1].length > self.tokens_per_forward:
                yield chunk
                chunk = []
            chunk.append(item)
        if chunk:
            yield chunk

    @torch.no_grad()
    def dev_losses(self) -> list[float]:
        """Each member's answer loss on its dev rows; NaN where it has none or has left."""
        losses = [math.nan] * len(self.members)
        for n, member in enumerate(self.members):
            if not member.dev or not self.alive[n]:
                continue
            total, tokens = 0.0, 0
            for chunk in self._chunks([(n, row) for row in member.dev]):
                vectors = self.source.vectors(torch.tensor([n] * len(chunk)))
                prompts = None if vectors is None else PromptVectors(vectors, self.placement)
                values = token_losses(self.backbone.forward([row for _, row in chunk], prompts, notes=self.notes))
                total, tokens = total + float(values.sum()), tokens + len(values)
            losses[n] = total / tokens
        return losses

    def _rates(self, step: int) -> dict[str, Tensor]:
        factors = [rate_factor(step, steps=member.steps, warmup=member.warmup) for member in self.members]
        rates = {}
        for group in self.groups:
            peaks = [member.rates[group.name] for member in self.members]
            values = torch.tensor([peak * factor for peak, factor in zip(peaks, factors, strict=True)])
            rates[group.name] = values if group.per_member else values.max()
        return rates

    def _reported(self, active: Tensor) -> dict[str, float]:
        return {self.members[n].name: self.last_losses[n] for n in active.nonzero().flatten().tolist()}

    def _forget_gradients(self) -> None:
        for group in self.groups:
            group.tensor.grad = None

    def save(self, path: Path) -> None:
        """Write the whole state."""
        tensors = {f"value/{group.name}": group.tensor for group in self.groups}
        tensors |= {f"optimiser/{name}": tensor for name, tensor in self.optimiser.tensors().items()}
        tensors |= {f"selection/{name}": tensor for name, tensor in self.selection.tensors().items()}
        state = {
            "step": self.step,
            "drawn": self.cursors.drawn,
            "alive": self.alive,
            "losses": self.last_losses,
            "members": [member.name for member in self.members],
        }
        save_checkpoint(path, tensors, state)

    def resume(self, path: Path) -> None:
        """Take over a saved state, when there is one of these same members."""
        loaded = load_checkpoint(path)
        if loaded is None or loaded[1]["members"] != [member.name for member in self.members]:
            return
        tensors, state = loaded
        with torch.no_grad():
            for group in self.groups:
                group.tensor.copy_(tensors[f"value/{group.name}"])
        for part, target in (("optimiser", self.optimiser), ("selection", self.selection)):
            prefix = f"{part}/"
            target.load({key.removeprefix(prefix): value for key, value in tensors.items() if key.startswith(prefix)})
        self.step, self.cursors = state["step"], Cursors(state["drawn"])
        self.alive, self.last_losses = state["alive"], state["losses"]

    def result(self, seconds: float) -> TrainingResult:
        """How each member ended."""
        names = [member.name for member in self.members]
        return TrainingResult(
            losses=dict(zip(names, self.last_losses, strict=True)),
            dev_losses=dict(zip(names, self.selection.best_losses(), strict=True)),
            steps=dict(zip(names, self.optimiser.steps.tolist(), strict=True)),
            diverged=[name for name, alive in zip(names, self.alive, strict=True) if not alive],
            seconds=seconds,
        )
