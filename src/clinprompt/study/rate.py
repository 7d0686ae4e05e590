"""What training takes by its budget: seconds to begin, per step, per look at the dev part and per scored example."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from clinprompt.stages.methods import Budget

Shortened = Mapping[str, int]
"""Fields of a budget with which little is trained."""


@dataclass(frozen=True, slots=True)
class Rate:
    """Seconds of a training: to begin, per training step, per look at the dev part, per scored example."""

    fixed: float
    step: float
    look: float
    example: float

    def of(self, budget: Budget | None, examples: int = 0) -> float:
        """The seconds of a training that takes the whole budget, with so many examples scored, all cells together."""
        steps = budget.steps if budget else 0
        looks = steps // budget.dev_every if budget and budget.keep == "best" else 0
        return self.fixed + steps * self.step + looks * self.look + examples * self.example


def rate_of(budget: Budget | None, taken: Callable[[Shortened | None], tuple[float, float]]) -> Rate:
    """The rate by what is ``taken``: seconds of a training with this little of the budget, and of scoring an example.

    Three short trainings tell the step, the look and the rest apart.
    """
    if budget is None:
        return Rate(0.0, 0.0, 0.0, taken(None)[1])
    short, _ = taken({"steps": 2, "dev_every": 2})
    long, example = taken({"steps": 6, "dev_every": 6})
    step, look = max(0.0, (long - short) / 4), 0.0
    if budget.keep == "best":
        looked, _ = taken({"steps": 6, "dev_every": 2})
        look = max(0.0, (looked - long) / 2)
    return Rate(max(0.0, short - 2 * step), step, look, example)
