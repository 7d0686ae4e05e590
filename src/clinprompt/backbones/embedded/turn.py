"""One instruction over a note with its answer: the unit of pretraining."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Turn:
    """Slots of the templates and the answer."""

    kind: str
    instruction: str
    answer: str
    question: str = ""
    options: str = ""
    hypothesis: str = ""

    @property
    def decisive(self) -> bool:
        """True for choices and classes: one token decides, so its loss weighs more."""
        return self.kind in ("mc", "nli")
