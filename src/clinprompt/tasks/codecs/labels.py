"""Classes as text: the words that stand for the class."""

from __future__ import annotations

from clinprompt.errors import InputError
from clinprompt.schema.example import Answer, Example
from clinprompt.schema.prediction import DecodeReport, Prediction
from clinprompt.tasks.codecs.wording import Wording
from clinprompt.tasks.form import OneOf
from clinprompt.tasks.task import Task


class LabelsCodec:
    """One class per example; words that stand for no class give ``None``, which every metric counts wrong."""

    def encode(self, example: Example, task: Task) -> str:
        """The words of the gold class; raises :class:`InputError` when it is not one of the task's."""
        if example.answer.label not in task.labels:
            raise InputError(
                f"the class {example.answer.label!r} is not one of task {task.name}",
                where=f"example {example.id}",
                allowed=", ".join(task.labels),
            )
        return task.words(example.answer.label)

    def options(self, example: Example, task: Task) -> tuple[str, ...]:
        """The words of every class."""
        return tuple(task.words(label) for label in task.labels)

    def form(self, example: Example, task: Task) -> OneOf | None:
        """One of the options."""
        options = self.options(example, task)
        return OneOf(options) if options else None

    def decode(self, answer: str, example: Example, task: Task) -> Prediction:
        """The class that the text names; never raises."""
        label = Wording(task.labels, task).label(answer)
        report = DecodeReport(items=1, unreadable=int(label is None))
        return Prediction(example=example.id, answer=Answer(label=label), report=report, raw=answer)


LABELS = LabelsCodec()
