"""The contract of a codec."""

from __future__ import annotations

from typing import Protocol

from clinprompt.schema.example import Example
from clinprompt.schema.prediction import Prediction
from clinprompt.tasks.form import Form
from clinprompt.tasks.task import Task


class Codec(Protocol):
    """Answer to answer text and back; ``decode(encode(example))`` is the answer for all a task can ask."""

    def encode(self, example: Example, task: Task) -> str:
        """The gold answer as text; raises :class:`InputError` for an answer outside the task's schema."""
        ...

    def options(self, example: Example, task: Task) -> tuple[str, ...] | None:
        """Every answer text that could be right, or ``None`` where there is no closed list."""
        ...

    def form(self, example: Example, task: Task) -> Form | None:
        """The texts that :meth:`decode` reads without fault, every gold answer among them; ``None`` for any text."""
        ...

    def decode(self, answer: str, example: Example, task: Task) -> Prediction:
        """What a model's text says; never raises, and counts what could not be read in the report."""
        ...
