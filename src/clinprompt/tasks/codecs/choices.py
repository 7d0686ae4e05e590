"""Multiple choice as text: the key of the option."""

from __future__ import annotations

import re

from clinprompt.errors import InputError
from clinprompt.schema.example import Answer, Example
from clinprompt.schema.prediction import DecodeReport, Prediction
from clinprompt.tasks.form import OneOf
from clinprompt.tasks.task import Task


class ChoicesCodec:
    """The key alone; read back from ``B``, ``b.``, ``(B)``, ``B: text`` or the text of exactly one option."""

    def encode(self, example: Example, task: Task) -> str:
        """The gold key; raises :class:`InputError` when the example has no such option."""
        keys = [key for key, _ in example.choices]
        if example.answer.label not in keys:
            raise InputError(
                f"the gold option {example.answer.label!r} is not among the choices",
                where=f"example {example.id} of task {task.name}",
                allowed=", ".join(keys),
            )
        return example.answer.label

    def options(self, example: Example, task: Task) -> tuple[str, ...]:
        """The keys of the example's options."""
        return tuple(key for key, _ in example.choices)

    def form(self, example: Example, task: Task) -> OneOf | None:
        """One of the options."""
        options = self.options(example, task)
        return OneOf(options) if options else None

    def decode(self, answer: str, example: Example, task: Task) -> Prediction:
        """The option that the text names, ``None`` when it names none or several; never raises."""
        key = _named_key(answer, example.choices)
        report = DecodeReport(items=1, unreadable=int(key is None))
        return Prediction(example=example.id, answer=Answer(label=key), report=report, raw=answer)


def _named_key(answer: str, choices: tuple[tuple[str, str], ...]) -> str | None:
    keys = dict.fromkeys(key for key, _ in choices)
    for exact in (answer, answer.strip()):
        if exact in keys:
            return exact
    said = _loosened(answer)
    for known in ([(key, _loosened(key)) for key in keys], [(key, _loosened(text)) for key, text in choices]):
        matches = [key for key, text in known if said and text == said]
        if matches:
            return matches[0] if len(matches) == 1 else None
    opening = re.match(r"\s*\(?\s*(\w+)\s*[).:]", answer)
    matches = [key for key in keys if opening and _loosened(key) == _loosened(opening[1])]
    return matches[0] if len(matches) == 1 else None


def _loosened(text: str) -> str:
    return " ".join(text.casefold().split()).strip("().: ")


CHOICES = ChoicesCodec()
