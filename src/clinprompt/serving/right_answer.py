"""The right answer to a task as it comes over HTTP: refused where the task cannot hold it, without what was sent."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from pydantic import BaseModel, Field

from clinprompt.data.choices import Choices, lettered
from clinprompt.schema.document import Document, Relation, Span
from clinprompt.schema.example import SPAN_KINDS, TaskKind
from clinprompt.serving.findings import STRICT, FoundLabel, FoundText, Inputs, Reference
from clinprompt.serving.refused import Refused
from clinprompt.stages.corrections import Correction
from clinprompt.tasks.task import Task

INPUTS = {TaskKind.question_answering: ("question",), TaskKind.inference: ("hypothesis", "question")}
"""What tasks of a kind may be asked about besides a note; multiple choice has a question and options."""


class _Strict(BaseModel):
    model_config = STRICT


class RightSpan(_Strict):
    """A span as it should be, in code points of the note."""

    id: str = Field(min_length=1, max_length=64)
    label: str = Field(min_length=1, max_length=200)
    fragments: list[tuple[int, int]] = Field(min_length=1)
    attributes: dict[str, str] = Field(default_factory=dict)


class RightRelation(_Strict):
    """A relation as it should be, between ids of spans."""

    label: str = Field(min_length=1, max_length=200)
    head: str
    tail: str


class CorrectionRequest(_Strict):
    """A note and the right answer to one task: spans, relations or an answer.

    ``prompt`` is the version that was corrected, ``patient`` keeps notes of one patient together where scores are made.
    """

    note: str = Field(min_length=1)
    task: Reference
    prompt: Reference | None = None
    id: str = Field("note", min_length=1, max_length=200)
    patient: str = Field("", max_length=200)
    spans: list[RightSpan] = Field(default_factory=list)
    relations: list[RightRelation] = Field(default_factory=list)
    answer: FoundText | FoundLabel | None = None
    inputs: Inputs = Field(default_factory=dict)


def corrected(body: CorrectionRequest, task: Task, *, slots: Collection[str]) -> Correction:
    """The correction of a request to a task whose template shows these ``slots``.

    Spans get ids of their own. Raises :class:`Refused` for what the task cannot hold: it names the place in the
    request and what is allowed there, never the label, id or text that was sent, which may be words of a note.
    """
    choices = _choices(body.inputs, task, slots)
    places = {span.id: place for place, span in enumerate(body.spans)}
    if len(places) < len(body.spans):
        raise Refused(422, "same_id", "two spans have the same id", param="spans")
    _check_spans(body, task)
    _check_relations(body, task, places)
    said: dict[str, Any] = {} if body.answer is None else body.answer.model_dump()
    _check_answer(said, task, choices)
    spans = tuple(
        Span(
            one.label, tuple(one.fragments), f"T{n}",
            {key: value for key, value in one.attributes.items() if value and key in task.attributes},
        )
        for n, one in enumerate(body.spans, 1)
    )  # fmt: skip
    relations = tuple(
        Relation(one.label, spans[places[one.head]].id, spans[places[one.tail]].id, f"R{n}")
        for n, one in enumerate(body.relations, 1)
    )
    document = Document("note", body.note, spans, relations, group=body.patient)
    texts = {slot: value for slot, value in body.inputs.items() if isinstance(value, str)}
    return Correction(document, said.get("label"), said.get("text"), texts, choices, body.prompt or "")


def _choices(inputs: Inputs, task: Task, slots: Collection[str]) -> Choices:
    """The options among the inputs, all of which the task must have."""
    known = ("question", "options") if task.codec == "choices" else INPUTS.get(task.kind, ())
    has = [slot for slot in known if slot in slots]
    if set(inputs) - set(has):
        told = ", ".join(has) or "none besides the note"
        raise _unfit("unknown_input", f"the task has no such input; it has: {told}", "inputs")
    for slot, value in inputs.items():
        if isinstance(value, str) == (slot == "options"):
            what = "options are a list of texts, every other input is one text"
            raise _unfit("invalid_input", what, f"inputs.{slot}")
    if task.codec == "choices" and not inputs.get("options"):
        raise _unfit("missing_input", "the task chooses among options: give them as a list", "inputs.options")
    return lettered(inputs.get("options", ()))


def _check_spans(body: CorrectionRequest, task: Task) -> None:
    if task.kind in SPAN_KINDS:
        ends = (label for schema in task.relations.values() for label in (*schema.head, *schema.tail))
        allowed = list(dict.fromkeys((*task.labels, *ends)))
    elif task.codec == "quote":
        allowed = []  # the place of the answer, whatever it is called
    elif body.spans:
        raise _unfit("no_spans", "the task has an answer and no spans", "spans")
    for place, span in enumerate(body.spans):
        if task.kind in SPAN_KINDS and span.label not in allowed:
            raise _unfit("unknown_label", f"the task has no such label; it has: {', '.join(allowed)}",
                         f"spans.{place}.label")  # fmt: skip
        last = 0
        for start, end in span.fragments:
            if not last <= start < end <= len(body.note):
                raise _unfit(
                    "outside_note",
                    f"a fragment is empty, out of order or outside the note of {len(body.note)} characters "
                    "(Unicode code points)",
                    f"spans.{place}.fragments",
                )
            last = end
        for name, value in span.attributes.items():
            if name in task.attributes and value and value not in task.attributes[name].values:
                raise _unfit(
                    "unknown_value",
                    f"the attribute {name} has no such value; it has: {', '.join(task.attributes[name].values)}",
                    f"spans.{place}.attributes.{name}",
                )


def _check_relations(body: CorrectionRequest, task: Task, spans: Collection[str]) -> None:
    for place, relation in enumerate(body.relations):
        if relation.label not in task.relations:
            has = ", ".join(task.relations) or "none"
            raise _unfit("unknown_label", f"the task has no such relation; it has: {has}", f"relations.{place}.label")
        for name, end in (("head", relation.head), ("tail", relation.tail)):
            if end not in spans:
                raise _unfit("unknown_span", "it names a span that is not there", f"relations.{place}.{name}")


def _check_answer(said: dict[str, Any], task: Task, choices: Choices) -> None:
    label = said.get("label")
    keys = {"labels": task.labels, "choices": [key for key, _ in choices]}.get(task.codec)
    if keys is not None and label not in keys:
        raise _unfit("unknown_label", f"the answer is one label of: {', '.join(keys)}", "answer")
    if keys is None and label is not None:
        raise _unfit("unknown_label", "the task's answer is no label", "answer")


def _unfit(code: str, what: str, place: str) -> Refused:
    return Refused(422, code, f"{place}: {what}", param=place)
