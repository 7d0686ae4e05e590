"""How many numbers a method trains, from shapes alone."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class PromptSize:
    """Length P, rank R and hidden width H of a decomposed prompt."""

    length: int
    rank: int
    hidden: int

    @property
    def plain(self) -> int:
        """P·H, a free prompt or a metaprompt."""
        return self.length * self.hidden

    @property
    def factors(self) -> int:
        """R·(P + H), one task's factor pair."""
        return self.rank * (self.length + self.hidden)

    @property
    def target(self) -> int:
        """P·H + R·(P + H), what an adapted target trains when the metaprompt trains too."""
        return self.plain + self.factors
