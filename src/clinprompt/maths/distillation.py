"""What a student prompt is asked to keep of its teacher: softened answer distributions and hidden states."""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor


def logit_divergence(
    student: Float[Tensor, "A V"], teacher: Float[Tensor, "A V"], *, temperature: float
) -> Float[Tensor, " A"]:
    """Return T² · KL(teacher ‖ student) per answer token, in nats, of both distributions softened by T.

    The teacher stands first, as in arXiv 2303.02861 (L_logits). The factor T² keeps the size of the gradient
    independent of the temperature (Hinton et al. 2015). Zero exactly when the softened distributions are equal.
    """
    log_student = torch.log_softmax(student / temperature, dim=-1)
    log_teacher = torch.log_softmax(teacher / temperature, dim=-1)
    return temperature**2 * (log_teacher.exp() * (log_teacher - log_student)).sum(dim=-1)


def hidden_distance(student: Float[Tensor, "A M"], teacher: Float[Tensor, "A M"]) -> Float[Tensor, " A"]:
    """Return the mean squared difference per answer token relative to the teacher's mean square.

    ``M`` is the hidden width times the number of layers compared. The division makes one weight mean the same
    for narrow and wide backbones; which layers to compare is the caller's choice (arXiv 2604.06650 names none).
    """
    difference = (student - teacher).square().mean(dim=-1)
    return difference / teacher.square().mean(dim=-1).clamp_min(1e-12)


def member_means(
    values: Float[Tensor, " A"], member: Int[Tensor, " A"], counts: Float[Tensor, " N"]
) -> Float[Tensor, " N"]:
    """Return per member the sum of its tokens' values over ``counts``, the number of its answer tokens in the step.

    ``counts`` may cover more tokens than are here (micro-batches of one step add up); members without a token
    get zero.
    """
    total = torch.zeros_like(counts, dtype=values.dtype).index_add(0, member, values)
    return total / counts.clamp_min(1.0)
