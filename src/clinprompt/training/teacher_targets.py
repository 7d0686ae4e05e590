"""What teachers of decoders say of the answers in training: softened distributions and hidden states."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import torch
from torch import Tensor

from clinprompt.backbones.note_cache import NoteCache
from clinprompt.backbones.protocol import Backbone, Output, Row
from clinprompt.maths.distillation import Softened, hidden_distance, logit_divergence, soften
from clinprompt.prompts.plain import PlainPrompts
from clinprompt.training.gang import Member
from clinprompt.training.kept_targets import KeptTargets

if TYPE_CHECKING:
    from clinprompt.training.objectives import Distillation


@dataclass(frozen=True, slots=True)
class Targets:
    """What a teacher says of ``A`` answer tokens: softened distributions and hidden states ``[A, M]``, if compared."""

    softened: Softened
    hidden: Tensor | None

    def parts(self) -> tuple[Tensor | None, ...]:
        """The tensors in a fixed order."""
        return *self.softened.parts(), self.hidden

    @classmethod
    def of_parts(cls, parts: Sequence[Tensor | None]) -> Self:
        """The record of these tensors."""
        *softened, hidden = parts
        return cls(Softened(*softened), hidden)


class TeacherTargets(KeptTargets[Targets]):
    """Targets of the members' training rows, answer token by answer token."""

    def __init__(
        self,
        backbone: Backbone,
        members: Sequence[Member],
        distillation: Distillation,
        *,
        tokens_per_forward: int,
        notes: NoteCache | None = None,
    ) -> None:
        teachers = PlainPrompts(distillation.teachers)
        super().__init__(backbone, members, distillation, teachers, tokens_per_forward=tokens_per_forward, notes=notes)

    def losses(self, chunk: Sequence[tuple[int, Row]], output: Output, targets: Targets | None) -> Tensor:
        """λ-weighted teacher terms of each answer token ``[A]``; ``targets`` are :meth:`of` the same chunk."""
        weights = [self.distillation.weights[n] for n, row in chunk for _ in row.answer]
        whole = torch.tensor(weights, dtype=output.logits.dtype, device=output.logits.device)
        if targets is None:
            return whole  # all of them zero
        logits, hidden = output.logits, output.hidden
        taught = [a for a, weight in enumerate(weights) if weight > 0]
        some = len(taught) < len(weights)
        if some:
            logits, hidden = logits[taught], None if hidden is None else hidden[taught]
        losses = _teacher_losses(logits, hidden, _moved(targets, logits), temperature=self.distillation.temperature)
        if some:
            losses = torch.zeros_like(whole).index_copy(0, torch.tensor(taught, device=whole.device), losses)
        return whole * losses

    def _size(self, row: Row) -> int:
        return len(row.answer)

    def _records(self, output: Output, rows: Sequence[Row]) -> list[Targets]:
        found = soften(output.logits, temperature=self.distillation.temperature, top_k=self.distillation.top_k)
        tokens = None if found.tokens is None else found.tokens.int()
        counts = [len(row.answer) for row in rows]
        columns = [
            [None] * len(counts) if part is None else part.cpu().split(counts)
            for part in (found.kept, tokens, found.tail, output.hidden)
        ]
        return [Targets.of_parts(parts) for parts in zip(*columns, strict=True)]


def _teacher_losses(logits: Tensor, hidden: Tensor | None, targets: Targets, *, temperature: float) -> Tensor:
    """Divergence and hidden distance of each answer token ``[A]`` from its teacher, before any weight.

    ``logits`` ``[A, V]`` and ``hidden`` ``[A, M]`` are the student's.
    """
    losses = logit_divergence(logits, targets.softened, temperature=temperature)
    if hidden is not None and targets.hidden is not None:
        losses = losses + hidden_distance(hidden, targets.hidden)
    return losses


def _moved(targets: Targets, like: Tensor) -> Targets:
    kept, tokens, tail, hidden = (None if part is None else part.to(like.device) for part in targets.parts())
    return Targets.of_parts([kept, None if tokens is None else tokens.long(), tail, hidden])
