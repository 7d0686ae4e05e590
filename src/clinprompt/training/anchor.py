"""What holds a member to its start: the answers that it gave there, and a Gaussian round the prompt that it was."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from clinprompt.backbones.note_cache import NoteCache
from clinprompt.backbones.protocol import Backbone, Row
from clinprompt.maths.prior import pull
from clinprompt.prompts.source import PromptSource
from clinprompt.training.gang import Member
from clinprompt.training.objectives import Targets, Teaching


@dataclass(frozen=True)
class Prior:
    """A Gaussian round each member's prompt of ``source``: ``weights[n]`` · ½ mean((P_n - centre)² / variance).

    ``source`` is what is trained; its prompts are all of one length. ``centres`` and ``variances`` hold ``[P, H]`` for
    each member. The prompt itself is held, not its factors: these may be scaled against each other without any effect,
    and so have no spread of their own over sources.
    """

    source: PromptSource
    centres: Sequence[Tensor]
    variances: Sequence[Tensor]
    weights: Sequence[float]

    def losses(self, members: Sequence[int]) -> Tensor:
        """The weighted penalty of each of these members ``[M]``."""
        chosen = torch.tensor(members)
        vectors = self.source.vectors(chosen)
        assert vectors is not None
        centre, variance = (
            torch.stack([values[n] for n in members]).to(vectors) for values in (self.centres, self.variances)
        )
        return torch.tensor([self.weights[n] for n in members]).to(vectors) * pull(vectors, centre, variance)


@dataclass(frozen=True)
class Anchor:
    """A teaching without other teachers than the start: ``answers`` distils what the start says, ``prior`` holds it.

    Either may be missing. Both are means over a step's answer tokens (or questions), as the loss is, so they do not
    depend on how a step is cut into batches or shared out.
    """

    answers: Teaching | None = None
    prior: Prior | None = None

    @property
    def hidden_layers(self) -> tuple[int, ...]:
        """The layers whose states are compared: none, unless the answers' teaching has some."""
        return self.answers.hidden_layers if self.answers else ()

    def targets(
        self, backbone: Backbone, members: Sequence[Member], *, tokens_per_forward: int, notes: NoteCache | None
    ) -> AnchorTargets:
        """What training asks in each step."""
        answers = self.answers and self.answers.targets(
            backbone, members, tokens_per_forward=tokens_per_forward, notes=notes
        )
        return AnchorTargets(answers or None, self.prior)


class AnchorTargets:
    """The start's answers as teacher targets, and the pull of the prior, by the two calls that training makes."""

    def __init__(self, answers: Targets | None, prior: Prior | None) -> None:
        self.answers, self.prior = answers, prior

    def of(self, chunk: Sequence[tuple[int, Row]], *, step: int) -> Any:
        """What the start says of the chunk."""
        return self.answers.of(chunk, step=step) if self.answers else None

    def losses(self, chunk: Sequence[tuple[int, Row]], output: Any, targets: Any) -> Tensor:
        """What is added to each of the output's losses ``[A]``; a member's mean over a step is its whole penalty."""
        found = torch.zeros_like(output.losses)
        if self.answers:
            found = found + self.answers.losses(chunk, output, targets)
        if self.prior:
            present = sorted({n for n, _ in chunk})
            place = {n: i for i, n in enumerate(present)}
            of_row = torch.tensor([place[n] for n, _ in chunk], device=found.device)
            found = found + self.prior.losses(present).to(found)[of_row[output.row]]
        return found
