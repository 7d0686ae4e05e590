"""Free text: the answer is the text itself."""

from __future__ import annotations

from clinprompt.errors import InputError
from clinprompt.schema.example import Answer, Example
from clinprompt.schema.prediction import DecodeReport, Prediction
from clinprompt.tasks.task import Task


class FreeTextCodec:
    """Summaries and written answers, character for character."""

    def encode(self, example: Example, task: Task) -> str:
        """The gold text; raises :class:`InputError` when the example has none."""
        if example.answer.text is None:
            raise InputError("the gold answer has no text", where=f"example {example.id} of task {task.name}")
        return example.answer.text

    def options(self, example: Example, task: Task) -> None:
        """No closed list: any text may be right."""

    def form(self, example: Example, task: Task) -> None:
        """Any text."""

    def decode(self, answer: str, example: Example, task: Task) -> Prediction:
        """The text unchanged; never raises. Nothing but white space counts as unreadable."""
        report = DecodeReport(items=1, unreadable=int(not answer.strip()))
        return Prediction(example=example.id, answer=Answer(text=answer), report=report, raw=answer)


FREE_TEXT = FreeTextCodec()
