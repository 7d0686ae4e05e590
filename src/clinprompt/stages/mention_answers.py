"""Prompts that ask about mentions: every mention of a document is asked about, the answer becomes its attribute."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from clinprompt.backbones.protocol import Placement
from clinprompt.data.mentions import span_number
from clinprompt.inference.predictor import Predictor, Question
from clinprompt.prompts.prompt_file import SoftPrompt
from clinprompt.schema.document import Document, Span
from clinprompt.schema.prediction import Prediction
from clinprompt.stages.prepare import questions_about
from clinprompt.stages.reading import WINDOW
from clinprompt.tasks.task import Task


def attributed(
    documents: Sequence[Document],
    prompts: Sequence[tuple[SoftPrompt, Task]],
    predictor: Predictor,
    *,
    window: int | None = None,
    watch: Callable[[int], None] = lambda rows: None,
) -> tuple[list[Document], list[list[Prediction]]]:
    """The documents with the attributes that prompts of tasks with ``about`` find, and the answers about each.

    A mention whose answer cannot be read gets no attribute. ``window`` is in characters, the task's own without.
    """
    questions, places = mention_questions(documents, prompts, window=window)
    if not questions:
        return list(documents), [[] for _ in documents]
    found = predictor.predict(questions, watch=watch)
    by_document: list[list[Prediction]] = [[] for _ in documents]
    said: dict[tuple[int, int], dict[str, str]] = {}
    for place, question, prediction in zip(places, questions, found, strict=True):
        by_document[place].append(prediction)
        assert question.task.about is not None
        if prediction.answer.label is not None:
            known = said.setdefault((place, span_number(question.example)), {})
            known[question.task.about.attribute] = prediction.answer.label
    return [
        replace(document, spans=tuple(_with(span, said.get((place, at), {})) for at, span in enumerate(document.spans)))
        for place, document in enumerate(documents)
    ], by_document


def mention_questions(
    documents: Sequence[Document], prompts: Sequence[tuple[SoftPrompt, Task]], *, window: int | None = None
) -> tuple[list[Question], list[int]]:
    """A question for every mention of the documents and every prompt that asks about it, and whose document it is."""
    questions: list[Question] = []
    places: list[int] = []
    for number, document in enumerate(documents):
        for prompt, task in prompts:
            trained = task.data.window if task.data else None
            ((asked, _),) = questions_about(task, [document], window=window or trained or WINDOW, gold=False)
            placement = Placement(prompt.card.placement)
            questions += [Question(one, task, prompt.vectors, placement, prompt.card.full_name) for one in asked]
            places += [number] * len(asked)
    return questions, places


def _with(span: Span, said: dict[str, str]) -> Span:
    return replace(span, attributes={**span.attributes, **said}) if said else span
