"""What an export starts from: the backbone as files, and prompts with their places."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from clinprompt.prompts.card import PromptCard
from clinprompt.prompts.prompt_file import SoftPrompt


@dataclass(frozen=True, slots=True)
class Origin:
    """The backbone that prompts are exported for.

    ``embedding`` and ``head`` name the tables of its input and output in the checkpoint; with ``tied`` they are one.
    ``heads`` and ``layers`` are those of its attention, which peft writes down.
    """

    folder: Path
    name: str
    hidden: int
    heads: int
    layers: int
    embedding: str
    head: str
    tied: bool


@dataclass(frozen=True, slots=True)
class PlacedPrompt:
    """A finished prompt; the first ``before`` of its vectors stand before everything, the others after the input."""

    prompt: SoftPrompt
    before: int

    @property
    def card(self) -> PromptCard:
        """The prompt's card."""
        return self.prompt.card

    @property
    def vectors(self) -> Tensor:
        """The prompt's vectors ``[P, H]``."""
        return self.prompt.vectors

    @property
    def name(self) -> str:
        """Name and version, such as ``meds@3``."""
        return f"{self.card.name}@{self.card.version}"
