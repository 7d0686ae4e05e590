"""Methods as rows of one table: what is prompted, what is trained. One loop trains them all."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from clinprompt.registry import unknown_name


@dataclass(frozen=True, slots=True)
class Method:
    """A row of the method table.

    ``prompt``: ``none``, ``free`` vectors, or ``decomposed`` (metaprompt ∘ factors). ``weights`` of the backbone:
    ``frozen``, ``lora`` or ``all``.
    """

    name: str
    prompt: Literal["none", "free", "decomposed"]
    weights: Literal["frozen", "lora", "all"]
    role: str

    @property
    def trains(self) -> bool:
        """Whether there is anything to train."""
        return self.prompt != "none" or self.weights != "frozen"

    @property
    def gangs(self) -> bool:
        """Whether many members can share one frozen backbone."""
        return self.trains and self.weights == "frozen"


_ROWS = (
    Method("instruction", "none", "frozen", "zero-shot reference: the task's words, no training"),
    Method("prompt-tuning", "free", "frozen", "single-task baseline; how teachers are made"),
    Method("mpt", "decomposed", "frozen", "multitask prompt distillation and decomposition, the method of 2604.06650"),
    Method("lora", "none", "lora", "low-rank weight updates, through peft"),
    Method("fine-tuning", "none", "all", "every weight trains"),
)
METHODS: dict[str, Method] = {row.name: row for row in _ROWS}


def method(name: str) -> Method:
    """The row of this name; a misspelt one is answered with near matches."""
    if name not in METHODS:
        raise unknown_name("method", name, METHODS)
    return METHODS[name]
