"""The generative formulation: an example as text in, text out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from clinprompt.errors import InputError
from clinprompt.schema.example import Example
from clinprompt.schema.formulated import Piece, TextPair
from clinprompt.schema.prediction import Prediction
from clinprompt.tasks.codecs import CODECS
from clinprompt.tasks.form import Form
from clinprompt.tasks.task import Task
from clinprompt.tasks.template import Template, render


def formulate(
    example: Example, task: Task, template: Template, *, with_answer: bool = True, shown: Sequence[Example] = ()
) -> TextPair:
    """Inputs through the template, gold answer through the task's codec, behind ``shown`` examples with theirs.

    ``with_answer=False`` leaves the answer empty, for prediction on examples without gold. Raises
    :class:`InputError` for inputs that the template cannot show and answers outside the task's schema.
    """
    worked = work_through(shown, task, template)
    rendered = render(_further(template) if worked else template, example.inputs, task.instruction)
    # A blank belongs to the answer: a model that joins blank and word then predicts the word as one token.
    answer = template.joint + CODECS[task.codec].encode(example, task) if with_answer else ""
    return TextPair(context=rendered.context, cue=rendered.cue, answer=answer, shown=worked)


def work_through(shown: Sequence[Example], task: Task, template: Template) -> tuple[Piece, ...]:
    """Examples one behind the other as they are asked and answered; raises as :func:`formulate` does.

    The pieces of an example are the same whichever stands before it.
    """
    pieces: list[Piece] = []
    for example in shown:
        pair = formulate(example, task, _further(template) if pieces else template)
        pieces += [*pair.context, *pair.cue, Piece(pair.answer)]
    return tuple(pieces)


def _further(template: Template) -> Template:
    """The template for what stands behind an answered example."""
    if template.again is None:
        raise InputError(
            f"the template {template.name!r} has room for one question and answer, and examples cannot stand before it",
            where="backbone.template",
            fix="name another with `--set backbone.template=plain`",
        )
    return replace(template, before=template.again)


def possible_answers(example: Example, task: Task, template: Template) -> tuple[str, ...] | None:
    """The answer texts among which the task's codec allows to choose; ``None`` where any text may be right."""
    options = CODECS[task.codec].options(example, task)
    return None if options is None else tuple(template.joint + option for option in options)


def answer_form(example: Example, task: Task) -> Form | None:
    """The form that an answer must have to be read without fault; ``None`` where any text may be right."""
    return CODECS[task.codec].form(example, task)


def read_back(raw: str, example: Example, task: Task) -> Prediction:
    """A model's answer text as a prediction, without the one blank that :func:`formulate` put in front."""
    return CODECS[task.codec].decode(raw.removeprefix(" "), example, task)
