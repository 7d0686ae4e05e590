"""What a teacher adds to what a step minimises, which without one is the answer's loss alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from torch import Tensor

from clinprompt.backbones.note_cache import NoteCache
from clinprompt.backbones.protocol import Backbone, Placement
from clinprompt.training.gang import Member
from clinprompt.training.reading_targets import ReadingTargets
from clinprompt.training.teacher_targets import TeacherTargets


class Targets(Protocol):
    """What is added to the loss of each step, by the two calls that training makes."""

    def of(self, chunk: Sequence[tuple[int, Any]], *, step: int) -> Any:
        """What does not depend on the prompts in training: targets of the chunk, ``None`` for none."""
        ...

    def losses(self, chunk: Sequence[tuple[int, Any]], output: Any, targets: Any) -> Tensor:
        """What is added to each of the output's losses; ``targets`` are :meth:`of` the same chunk."""
        ...


class Teaching(Protocol):
    """Teachers of all members: which hidden states they compare, and where training finds what they say."""

    @property
    def hidden_layers(self) -> tuple[int, ...]:
        """The layers whose states are compared."""
        ...

    def targets(
        self, backbone: Backbone, members: Sequence[Member], *, tokens_per_forward: int, notes: NoteCache | None
    ) -> Targets:
        """What the teachers say of the members' training rows, at most ``tokens_per_forward`` tokens at a time."""
        ...


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

    def targets(
        self, backbone: Backbone, members: Sequence[Member], *, tokens_per_forward: int, notes: NoteCache | None
    ) -> TeacherTargets:
        """What the teachers say of each answer token."""
        return TeacherTargets(backbone, members, self, tokens_per_forward=tokens_per_forward, notes=notes)


class HeadedPrompt(Protocol):
    """A finished prompt of an encoder: ``vectors`` ``[P, H]`` or ``[L, P, H]`` (P may be 0) and its own ``heads``."""

    @property
    def vectors(self) -> Tensor:
        """The prompt."""
        ...

    @property
    def heads(self) -> Mapping[str, Tensor]:
        """The head's tensors by name, without a dimension of members."""
        ...


@dataclass(frozen=True)
class ReadingDistillation:
    """Teachers of members that read: loss of a question = its own + λ · mean over its context tokens of (divergence +
    hidden distance).

    The divergence is T² KL(teacher ‖ student), summed over the two indicators of a first and a last token; a teacher
    speaks with its own head, the student with its own. The published methods of distillation into prompts
    (arXiv 2303.02861) are of decoders; this is the same for answers that are places. The other fields are those of
    :class:`Distillation`.
    """

    teachers: Sequence[HeadedPrompt]
    placement: Placement
    weights: Sequence[float]
    temperature: float = 1.0
    hidden_layers: tuple[int, ...] = (-1,)
    budget: int = 2 * 1024**3

    def targets(
        self, backbone: Backbone, members: Sequence[Member], *, tokens_per_forward: int, notes: NoteCache | None
    ) -> ReadingTargets:
        """What the teachers say of each context token."""
        return ReadingTargets(backbone, members, self, tokens_per_forward=tokens_per_forward, notes=notes)
