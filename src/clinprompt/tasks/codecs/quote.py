"""Extractive answers: the words of the note themselves, or ``unanswerable``."""

from __future__ import annotations

from clinprompt.errors import InputError
from clinprompt.schema.document import Span
from clinprompt.schema.example import QUOTED, Answer, Example
from clinprompt.schema.prediction import DecodeReport, Prediction
from clinprompt.tasks.form import Excerpt
from clinprompt.tasks.grounding import Grounder, Part
from clinprompt.tasks.task import Task

NO_ANSWER = "unanswerable"


def quotable(example: Example) -> bool:
    """Whether the gold answer is a stretch of the note without blanks at its ends, or that there is no answer."""
    text = example.answer.text
    return text == NO_ANSWER or (bool(text) and text == text.strip() and text in example.note)


class QuoteCodec:
    """A stretch of the note, character for character; what does not stand there is no answer."""

    def encode(self, example: Example, task: Task) -> str:
        """The gold words; raises :class:`InputError` when the note does not have them."""
        text = example.answer.text
        if text is None or not quotable(example):
            raise InputError(
                "the gold answer is not a stretch of the note",
                where=f"example {example.id} of task {task.name}",
                allowed=f"words of the note without blanks at their ends, or {NO_ANSWER!r}",
                fix="take the codec free_text for answers in other words",
            )
        return text

    def options(self, example: Example, task: Task) -> None:
        """No closed list: any words of the note may be right."""

    def form(self, example: Example, task: Task) -> Excerpt:
        """Words of the note, or that there is no answer."""
        return Excerpt(example.note, (NO_ANSWER,))

    def decode(self, answer: str, example: Example, task: Task) -> Prediction:
        """The words as they stand in the note, with blanks as there, and their place as a span; never raises.

        Words that are not in the note give no answer and are counted.
        """
        words = answer.strip()
        found = Grounder(example.note).locate((Part(words),)) if words else None
        if found is not None:
            span = Span(label=QUOTED, fragments=found.fragments, id="e1")
            said = Answer(spans=(span,), text=span.surface(example.note))
            report = DecodeReport(items=1, ambiguous=found.ambiguous)
        elif words.rstrip(".").casefold() == NO_ANSWER:
            said, report = Answer(text=NO_ANSWER), DecodeReport(items=1)
        else:
            said, report = Answer(), DecodeReport(items=1, unreadable=not words, unlocated=bool(words))
        return Prediction(example=example.id, answer=said, report=report, raw=answer)


QUOTE = QuoteCodec()
