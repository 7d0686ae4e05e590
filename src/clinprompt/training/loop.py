"""The one training loop: prompts, factors, low-rank updates or whole networks, one member or many side by side."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

import torch
from torch import Tensor

from clinprompt.backbones.protocol import KEPT_NOTES, Backbone, Output, Placement, Row
from clinprompt.backbones.sharding import is_sharded
from clinprompt.errors import InputError
from clinprompt.maths.distillation import member_means
from clinprompt.maths.schedule import rate_factor
from clinprompt.prompts.source import ParameterGroup, PromptSource
from clinprompt.training.checkpoint import load_checkpoint, save_checkpoint
from clinprompt.training.gang import Cursors, Member, Mixture, batch_prompts, rows_for_step
from clinprompt.training.gradients import refuse_silence
from clinprompt.training.kept_targets import Parts
from clinprompt.training.objectives import Teaching
from clinprompt.training.optimiser import GangAdamW
from clinprompt.training.outcome import StepReport, TrainingResult
from clinprompt.training.parallel import even_runs, world
from clinprompt.training.selection import Selection


def train(
    backbone: Backbone,
    source: PromptSource,
    members: Sequence[Member],
    *,
    placement: Placement,
    mixture: Mixture | None = None,
    distillation: Teaching | None = None,
    tokens_per_forward: int | None = None,
    dev_every: int = 50,
    checkpoint: Path | None = None,
    save_every: float = 20.0,
    watch: Callable[[StepReport], None] = lambda report: None,
) -> TrainingResult:
    """Train the source's parameters in place and return how it went.

    Each member's loss is the mean over its own answer tokens of the step; members' losses are summed, so that a
    gang of N gives each member the gradient it would have alone. A member whose loss is not finite leaves with the
    values it had; one with ``patience`` leaves when its dev loss falls no more, and the run ends with the last of them.
    With ``dev_every`` below the number of steps the values before the first step are judged too: a start may be
    better than all that few examples make of it. With ``checkpoint`` the state is saved at least every
    ``save_every`` seconds and a later call with the same arguments continues exactly. Several processes
    (:func:`~clinprompt.training.parallel.world`) share the rows of every step and make the same step; the first of
    them saves and watches.
    """
    loop = _Loop(backbone, source, members, placement, mixture, distillation, tokens_per_forward)
    total = max(member.steps for member in members)
    if checkpoint is not None:
        loop.resume(checkpoint)
        # Also a meeting: nobody may finish, and take the checkpoint away, before all have read it.
        if len(set(loop.world.gather(loop.step))) > 1:
            raise InputError(
                "the processes of this run do not see the same checkpoint",
                where=str(checkpoint),
                fix="give --runs a folder on a file system that all machines share",
            )
    begun = saved = time.monotonic()
    if loop.step == 0 and dev_every < total:
        with loop.world.guarded():
            loop.judge()
    for step in range(loop.step, total):
        if not any(loop.training):
            break
        last = step + 1 == total
        with loop.world.guarded():
            losses = loop.advance(step)
            if (step + 1) % dev_every == 0 or last:
                loop.judge()
        if not loop.world.leads:
            continue
        watch(StepReport(step + 1, total, losses))  # first, so that no step is saved and not reported
        if checkpoint is not None and (last or time.monotonic() - saved > save_every):
            loop.save(checkpoint)
            saved = time.monotonic()
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
        distillation: Teaching | None,
        tokens_per_forward: int | None,
    ) -> None:
        self.world = world()
        self.lockstep = self.world.size > 1 and is_sharded(backbone)
        self.backbone, self.source, self.members = backbone, source, members
        self.placement, self.mixture, self.distillation = placement, mixture, distillation
        self.tokens_per_forward = tokens_per_forward or backbone.tokens_at_once
        self.groups: list[ParameterGroup] = list(source.groups())
        # In lockstep, processes that lack different notes would wait for each other for ever.
        self.notes = backbone.note_cache() if placement in KEPT_NOTES and not self.lockstep else None
        self.teachers = distillation and distillation.targets(
            backbone, members, tokens_per_forward=self.tokens_per_forward, notes=self.notes
        )
        self.optimiser = GangAdamW(self.groups, n_members=len(members))
        self.selection = Selection(self.groups, n_members=len(members))
        self.clip = torch.tensor([member.clip for member in members])
        self.alive = [True] * len(members)
        self.cursors = Cursors([0] * len(members))
        self.last_losses = [math.nan] * len(members)
        self.step = 0

    def advance(self, step: int) -> dict[str, float]:
        """Run one optimiser step; returns the answer losses of the members that took part."""
        picked = rows_for_step(self.members, self.training, self.cursors, step=step, mixture=self.mixture)
        self.step = step + 1
        tokens = [0] * len(self.members)
        for n, row in picked:
            tokens[n] += row.units
        counts = torch.tensor(tokens, dtype=torch.float32)
        answer = torch.zeros(len(self.members))
        chunks = self._shared(picked)
        for (chunk, counted), targets in zip(chunks, self._targets(chunks), strict=True):
            answer += self._backward(chunk, targets, counts if counted else torch.full_like(counts, math.inf))
        self._sum(answer)
        active = counts > 0
        for n, loss in enumerate(answer.tolist()):
            if tokens[n]:
                self.last_losses[n], self.alive[n] = loss, math.isfinite(loss)
        if self.mixture is not None and not all(self.alive):
            # A shared metaprompt has taken part of the bad gradient: nothing of this step may be kept.
            self._forget_gradients()
            return self._reported(active)
        active &= torch.tensor(self.alive)
        if bool(active.any()):
            new = active & (self.optimiser.steps == 0)
            if bool(new.any()):
                refuse_silence(self.groups, [member.name for member in self.members], answer, new=new)
            self.optimiser.step(self._rates(step), active=active, clip=self.clip)
        return self._reported(active)

    def _shared(self, picked: Sequence[tuple[int, Row]]) -> list[tuple[list[tuple[int, Row]], bool]]:
        """This process's chunks and whether they count: on a sharded backbone all processes run equally many."""
        mine = self.world.share(picked, weight=lambda pair: pair[1].length)
        chunks = [(chunk, True) for chunk in self._chunks(mine)]
        if not self.lockstep or not picked:
            return chunks
        shortest = min(picked, key=lambda pair: pair[1].length)
        return self.world.level(chunks, idle=([shortest], False))

    def _sum(self, answer: Tensor) -> None:
        """Add up losses and gradients of all processes."""
        if self.world.size == 1:
            return
        for group in self.groups:
            if group.tensor.grad is None:  # no row of it was in this process's share
                group.tensor.grad = torch.zeros_like(group.tensor)
        self.world.sum([answer, *(group.tensor.grad for group in self.groups)])

    def _targets(self, chunks: Sequence[tuple[list[tuple[int, Row]], bool]]) -> Iterable[Parts | None]:
        """What the teachers say of each chunk; in lockstep of all at once, with as many runs on every process."""
        if self.teachers is None:
            return [None] * len(chunks)
        targets = (self.teachers.of(chunk, step=self.step) for chunk, _ in chunks)
        if not self.lockstep or not chunks:
            return targets
        shortest = min((pair for chunk, _ in chunks for pair in chunk), key=lambda pair: pair[1].length)
        with even_runs(self.backbone, self.world, idle=lambda: self._forward([shortest])):
            return list(targets)

    def _backward(self, chunk: list[tuple[int, Row]], targets: Parts | None, counts: Tensor) -> Tensor:
        output = self._forward(chunk, hidden_layers=self.distillation.hidden_layers if self.distillation else ())
        answer = output.losses
        values = answer
        if self.teachers:
            values = values + self.teachers.losses(chunk, output, targets)
        owner = self._owners(chunk, output)
        counts = counts.to(values.device)
        member_means(values, owner, counts).sum().backward()
        return member_means(answer.detach(), owner, counts).cpu()

    def _forward(self, chunk: list[tuple[int, Row]], *, hidden_layers: Sequence[int] = ()) -> Output:
        prompts = batch_prompts(self.source, [n for n, _ in chunk], self.placement)
        rows = [row for _, row in chunk]
        return self.backbone.forward(rows, prompts, hidden_layers=hidden_layers, notes=self.notes)

    def _owners(self, chunk: list[tuple[int, Row]], output: Output) -> Tensor:
        """The member of each answer token ``[A]``."""
        return torch.tensor([n for n, _ in chunk], device=output.row.device)[output.row]

    def _chunks(self, picked: list[tuple[int, Row]]) -> Iterator[list[tuple[int, Row]]]:
        """Rows of similar length together, at most ``tokens_per_forward`` tokens and prompt vectors at a time."""
        chunk: list[tuple[int, Row]] = []
        tokens = 0
        for n, row in sorted(picked, key=lambda pair: (self._run(pair[1]), pair[0])):
            needed = self._run(row) + self.source.lengths[n]
            if chunk and tokens + needed > self.tokens_per_forward:
                yield chunk
                chunk, tokens = [], 0
            chunk.append((n, row))
            tokens += needed
        if chunk:
            yield chunk

    def _run(self, row: Row) -> int:
        """Tokens of a row that are run in a step, without prompt vectors."""
        return row.beside_note if self.notes else row.length

    @property
    def training(self) -> list[bool]:
        """Which members have neither diverged nor run out of patience."""
        vain = self.selection.looks_in_vain()
        return [
            alive and (member.patience is None or looks < member.patience)
            for member, alive, looks in zip(self.members, self.alive, vain, strict=True)
        ]

    def judge(self) -> None:
        """Look at the dev rows and keep what is better than before."""
        self.selection.consider(self._dev_losses(), self.groups)

    @torch.no_grad()
    def _dev_losses(self) -> list[float]:
        """Each member's answer loss on its dev rows; NaN where it has none or has left."""
        training = self.training
        rows = [(n, row) for n, member in enumerate(self.members) if training[n] for row in member.dev]
        totals = torch.zeros(len(self.members), dtype=torch.float64)
        counts = torch.zeros_like(totals)
        for chunk, counted in self._shared(rows):
            output = self._forward(chunk)
            if not counted:
                continue
            losses, owner = output.losses.double().cpu(), self._owners(chunk, output).cpu()
            totals.index_add_(0, owner, losses)
            counts.index_add_(0, owner, torch.ones_like(losses))
        self.world.sum([totals, counts])
        return (totals / counts).tolist()  # 0 / 0 is NaN

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
