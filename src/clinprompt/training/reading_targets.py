"""What teachers of encoders say of the contexts in training: where answers begin and end, and hidden states."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import torch
from torch import Tensor

from clinprompt.backbones.note_cache import NoteCache
from clinprompt.backbones.protocol import Backbone, ReadingOutput, ReadingRow
from clinprompt.maths.distillation import edge_divergence, hidden_distance, member_means
from clinprompt.prompts.headed import Headed
from clinprompt.prompts.padded import padded
from clinprompt.prompts.per_layer import PerLayerPrompts
from clinprompt.prompts.plain import PlainPrompts
from clinprompt.training.gang import Member
from clinprompt.training.kept_targets import KeptTargets

if TYPE_CHECKING:
    from clinprompt.training.objectives import ReadingDistillation


@dataclass(frozen=True, slots=True)
class ReadingTeaching:
    """What a teacher says of ``A`` context tokens: edge logits ``[A, 2]``, hidden states ``[A, M]`` if compared."""

    edges: Tensor
    hidden: Tensor | None

    def parts(self) -> tuple[Tensor | None, ...]:
        """The tensors in a fixed order."""
        return self.edges, self.hidden

    @classmethod
    def of_parts(cls, parts: Sequence[Tensor | None]) -> Self:
        """The record of these tensors."""
        return cls(*parts)


class ReadingTargets(KeptTargets[ReadingTeaching]):
    """Targets of the members' training questions, context token by context token; every teacher with its own heads."""

    def __init__(
        self,
        backbone: Backbone,
        members: Sequence[Member],
        distillation: ReadingDistillation,
        *,
        tokens_per_forward: int,
        notes: NoteCache | None = None,
    ) -> None:
        vectors = [teacher.vectors for teacher in distillation.teachers]
        prompts = PerLayerPrompts(vectors) if vectors[0].ndim == 3 else PlainPrompts(vectors)
        # Heads of different widths fit together: units that are not there have zeros around them and say nothing.
        heads = {
            name: padded(teacher.heads[name] for teacher in distillation.teachers)
            for name in distillation.teachers[0].heads
        }
        teachers = Headed(prompts, heads)
        super().__init__(backbone, members, distillation, teachers, tokens_per_forward=tokens_per_forward, notes=notes)

    def losses(
        self, chunk: Sequence[tuple[int, ReadingRow]], output: ReadingOutput, targets: ReadingTeaching | None
    ) -> Tensor:
        """λ-weighted teacher terms of each question ``[B]``, means over its context tokens.

        ``targets`` are :meth:`of` the same chunk.
        """
        weights = [self.distillation.weights[n] for n, _ in chunk]
        whole = torch.tensor(weights, dtype=output.losses.dtype, device=output.losses.device)
        if targets is None:
            return whole  # all of them zero
        pairs = zip(weights, chunk, strict=True)
        taught = [weight > 0 and place is not None for weight, (_, row) in pairs for place in row.places]
        edges, hidden, owner = _chosen(output, taught)
        losses = edge_divergence(edges, targets.edges.to(edges.device), temperature=self.distillation.temperature)
        if hidden is not None and targets.hidden is not None:
            losses = losses + hidden_distance(hidden, targets.hidden.to(hidden.device))
        tokens = owner.bincount(minlength=len(chunk)).to(losses.dtype)
        return whole * member_means(losses, owner, tokens)

    def _size(self, row: ReadingRow) -> int:
        return sum(place is not None for place in row.places)

    def _records(self, output: ReadingOutput, rows: Sequence[ReadingRow]) -> list[ReadingTeaching]:
        edges, hidden, _ = _chosen(output, [place is not None for row in rows for place in row.places])
        tokens = [self._size(row) for row in rows]
        states = [None] * len(rows) if hidden is None else hidden.cpu().split(tokens)
        return [ReadingTeaching(*parts) for parts in zip(edges.cpu().split(tokens), states, strict=True)]


def _chosen(output: ReadingOutput, chosen: Sequence[bool]) -> tuple[Tensor, Tensor | None, Tensor]:
    """Edges, hidden states and rows of the chosen ones of an output's context tokens.

    The marks around a head are never among them: a head's scores of marks mean nothing.
    """
    at = torch.tensor(chosen, device=output.edges.device).nonzero().flatten()
    return output.edges[at], None if output.hidden is None else output.hidden[at], output.owner[at]
