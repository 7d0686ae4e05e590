"""What a step minimises: the answer's negative log-likelihood, and what a teacher adds to it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from clinprompt.backbones.note_cache import NoteCache
from clinprompt.backbones.protocol import Backbone, Output, Placement, PromptVectors, Row
from clinprompt.maths.distillation import hidden_distance, logit_divergence


@dataclass(frozen=True)
class Distillation:
    """Teachers of the members and how much they count: loss = answer + λ (divergence + hidden distance).

    ``teachers`` is ``[N, P, H]``, one prompt per member, on the same backbone. ``hidden_layers`` are the layers
    whose states are compared (empty: none). The papers' λ, temperature and layers are not public.
    """

    teachers: Tensor
    placement: Placement
    weight: float = 1.0
    temperature: float = 1.0
    hidden_layers: tuple[int, ...] = (-1,)


def token_losses(output: Output) -> Tensor:
    """Negative log-likelihood of each answer token ``[A]``, in nats."""
    return torch.nn.functional.cross_entropy(output.logits, output.targets, reduction="none")


def distillation_losses(
    backbone: Backbone,
    rows: Sequence[Row],
    members: Tensor,
    output: Output,
    distillation: Distillation,
    *,
    notes: NoteCache | None = None,
) -> Tensor:
    """λ-weighted teacher terms of each answer token ``[A]``; the teacher runs on its own, without gradient."""
    with torch.no_grad():
        teacher = backbone.forward(
            rows,
            PromptVectors(distillation.teachers[members], distillation.placement),
            hidden_layers=distillation.hidden_layers,
            notes=notes,
        )
    terms = logit_divergence(output.logits, teacher.logits, temperature=distillation.temperature)
    if output.hidden is not None and teacher.hidden is not None:
        terms = terms + hidden_distance(output.hidden, teacher.hidden)
    return distillation.weight * terms
