"""What a student prompt is asked to keep of its teacher: softened answer distributions and hidden states."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn.functional import logsigmoid


@dataclass(frozen=True, slots=True)
class Softened:
    """A teacher's distributions at ``A`` answer tokens, softened by a temperature, of which the likeliest are kept.

    ``kept`` ``[A, K]`` are natural logarithms of true probabilities over the whole vocabulary, ``tokens`` ``[A, K]``
    whose they are, and ``tail`` ``[A]`` is the logarithm of what all other tokens have together. ``tokens`` and
    ``tail`` are ``None`` when nothing is left out; ``kept`` is then ``[A, V]`` in the vocabulary's order.
    """

    kept: Tensor
    tokens: Tensor | None = None
    tail: Tensor | None = None

    def parts(self) -> tuple[Tensor | None, ...]:
        """The tensors, in the order in which the record is made of them."""
        return self.kept, self.tokens, self.tail


def soften(logits: Float[Tensor, "A V"], *, temperature: float, top_k: int | None = None) -> Softened:
    """Return the ``top_k`` likeliest tokens of each softened distribution and the mass of the rest (``None``: all)."""
    logits = logits / temperature
    total = torch.logsumexp(logits, dim=-1)  # [A]
    if top_k is None or top_k >= logits.shape[-1]:
        return Softened(logits - total[:, None])
    kept, tokens = logits.topk(top_k, dim=-1)
    # From the other tokens themselves: one minus the kept mass would lose a small tail to rounding.
    tail = torch.logsumexp(logits.scatter(-1, tokens, -torch.inf), dim=-1) - total
    return Softened(kept - total[:, None], tokens, tail)


def logit_divergence(student: Float[Tensor, "A V"], teacher: Softened, *, temperature: float) -> Float[Tensor, " A"]:
    """Return T² · KL(teacher ‖ student) per answer token, in nats, of both distributions softened by T.

    The teacher stands first, as in arXiv 2303.02861 (L_logits). The factor T² keeps the size of the gradient
    independent of the temperature (Hinton et al. 2015). Tokens that the teacher's record leaves out count as one
    outcome for both. Merging outcomes never raises a divergence (data-processing inequality, Cover and Thomas,
    section 2.8), so the value is a lower bound of the whole divergence and equals it when nothing is left out.
    ``temperature`` must be the one that the teacher was softened by.
    """
    student = student / temperature
    if teacher.tokens is None or teacher.tail is None:
        log_student = torch.log_softmax(student, dim=-1)
        return temperature**2 * (teacher.kept.exp() * (teacher.kept - log_student)).sum(dim=-1)
    total = torch.logsumexp(student, dim=-1)
    log_student = student.gather(-1, teacher.tokens) - total[:, None]
    tail = torch.logsumexp(student.scatter(-1, teacher.tokens, -torch.inf), dim=-1) - total
    kept = (teacher.kept.exp() * (teacher.kept - log_student)).sum(dim=-1)
    return temperature**2 * (kept + teacher.tail.exp() * (teacher.tail - tail))


def edge_divergence(
    student: Float[Tensor, "A E"], teacher: Float[Tensor, "A E"], *, temperature: float
) -> Float[Tensor, " A"]:
    """Return T² · KL(teacher ‖ student) per context token, in nats, of independent yes-or-no questions.

    A token is the first of an answer or not, and the last of one or not (E = 2). Each is a Bernoulli variable whose
    logit is softened by T; the divergence of independent variables is the sum of theirs (Cover and Thomas, theorem
    2.5.3). Otherwise as :func:`logit_divergence`.
    """
    student, teacher = student / temperature, teacher / temperature
    yes = teacher.sigmoid() * (logsigmoid(teacher) - logsigmoid(student))
    no = (-teacher).sigmoid() * (logsigmoid(-teacher) - logsigmoid(-student))
    return temperature**2 * (yes + no).sum(dim=-1)


def hidden_distance(student: Float[Tensor, "A M"], teacher: Float[Tensor, "A M"]) -> Float[Tensor, " A"]:
    """Return the mean squared difference per token relative to the teacher's mean square.

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
