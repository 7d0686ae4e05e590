"""What a step minimises: the answer's negative log-likelihood, and what a teacher adds to it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from clinprompt.backbones.protocol import Placement
from clinprompt.maths.distillation import Softened, hidden_distance, logit_divergence


@dataclass(frozen=True)
class Distillation:
    """Teachers of the members and how much they count: loss = answer + λ (divergence + hidden distance).

    ``teachers`` holds one prompt ``[P, H]`` per member, on the same backbone, and ``weights`` each member's λ (0:
    without teacher). ``hidden_layers`` are the layers whose states are compared (empty: none). The papers' λ,
    temperature and layers are not public. Of each of the teachers' distributions the ``top_k`` likeliest tokens are
    kept (``None``: all); ``budget`` bytes of what the teachers say are kept in memory.
    """

    teachers: Sequence[Tensor]
    placement: Placement
    weights: Sequence[float]
    temperature: float = 1.0
    hidden_layers: tuple[int, ...] = (-1,)
    top_k: int | None = None
    budget: int = 2 * 1024**3


@dataclass(frozen=True, slots=True)
class Targets:
    """What a teacher says of ``A`` answer tokens: softened distributions and hidden states ``[A, M]``, if compared."""

    softened: Softened
    hidden: Tensor | None


def teacher_losses(logits: Tensor, hidden: Tensor | None, targets: Targets, *, temperature: float) -> Tensor:
    """Divergence and hidden distance of each answer token ``[A]`` from its teacher, before any weight.

    ``logits`` ``[A, V]`` and ``hidden`` ``[A, M]`` are the student's.
    """
    losses = logit_divergence(logits, targets.softened, temperature=temperature)
    if hidden is not None and targets.hidden is not None:
        losses = losses + hidden_distance(hidden, targets.hidden)
    return losses
