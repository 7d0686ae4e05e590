"""What training tells: of each step, and at its end."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class StepReport:
    """What a watcher sees after each step: number of the step, steps in all, and each member's answer loss."""

    step: int
    steps: int
    losses: dict[str, float]


@dataclass
class TrainingResult:
    """How each member ended: last answer loss, best dev loss, steps done, and who diverged."""

    losses: dict[str, float] = field(default_factory=dict)
    dev_losses: dict[str, float] = field(default_factory=dict)
    steps: dict[str, int] = field(default_factory=dict)
    diverged: list[str] = field(default_factory=list)
    seconds: float = 0.0
