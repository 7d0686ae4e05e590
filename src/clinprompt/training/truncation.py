"""What is lost by keeping only the likeliest tokens of a teacher, measured on a sample of the training rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from clinprompt.backbones.protocol import Backbone, Placement
from clinprompt.maths.distillation import logit_divergence, soften
from clinprompt.prompts.plain import PlainPrompts
from clinprompt.prompts.source import PromptSource
from clinprompt.training.gang import Member, batch_prompts, epoch_order
from clinprompt.training.objectives import Distillation


@dataclass(frozen=True, slots=True)
class Truncation:
    """Means over ``tokens`` answer tokens: a teacher's softened probability left out (and the most of any token), the
    whole divergence T² KL in nats, and by how much the truncated one is below it.
    """

    tokens: int
    tail_mass: float
    largest_tail_mass: float
    divergence: float
    divergence_lost: float


@torch.no_grad()
def measure_truncation(
    backbone: Backbone,
    source: PromptSource,
    members: Sequence[Member],
    distillation: Distillation,
    *,
    placement: Placement,
    rows_each: int = 2,
    rows_at_once: int = 8,
) -> Truncation | None:
    """Compare truncated and whole divergences on the first rows of every member that has a teacher.

    The students' prompts are those of ``source`` as they now are. ``None`` when nothing was left out.
    """
    sample = [
        (n, member.rows[i])
        for n, member in enumerate(members)
        if distillation.weights[n] > 0
        for i in epoch_order(len(member.rows), member.seed, 0)[:rows_each]
    ]
    teachers, temperature = PlainPrompts(distillation.teachers), distillation.temperature
    tails, wholes, losts = [], [], []
    for at in range(0, len(sample), rows_at_once):
        owners, rows = zip(*sample[at : at + rows_at_once], strict=True)
        taught = backbone.forward(rows, batch_prompts(teachers, owners, distillation.placement)).logits
        student = backbone.forward(rows, batch_prompts(source, owners, placement)).logits
        kept = soften(taught, temperature=temperature, top_k=distillation.top_k)
        if kept.tail is None:
            return None
        whole = logit_divergence(student, soften(taught, temperature=temperature), temperature=temperature)
        tails.append(kept.tail.exp())
        wholes.append(whole)
        losts.append(whole - logit_divergence(student, kept, temperature=temperature))
    if not sample:
        return None
    tail = torch.cat(tails)
    return Truncation(
        tokens=len(tail),
        tail_mass=float(tail.mean()),
        largest_tail_mass=float(tail.max()),
        divergence=float(torch.cat(wholes).mean()),
        divergence_lost=float(torch.cat(losts).mean()),
    )
