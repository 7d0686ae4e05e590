"""Documents and predictions as plain JSON objects, both directions, nothing lost.

A document: ``id``, ``text``, and where there is something to say ``unit`` (``codepoint``), ``group``,
``spans`` (each ``label`` and ``start``, ``end`` or ``fragments``; ``id``, ``attributes``, ``surface``),
``relations`` (``label``, ``head``, ``tail``, ``id``) and ``metadata``; of predictions also ``answers`` by task and
``provenance``, which become metadata when they are read.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, StrictInt, StrictStr, ValidationError, model_validator

from clinprompt.errors import InputError
from clinprompt.schema.document import Document, Relation, Span
from clinprompt.schema.example import Answer
from clinprompt.schema.prediction import DecodeReport, Prediction

UNIT = "codepoint"
_Offset = Annotated[StrictInt, Field(ge=0)]
_Texts = dict[StrictStr, StrictStr]


class _Record(BaseModel):
    model_config = ConfigDict(extra="forbid")


class _Span(_Record):
    label: StrictStr
    start: _Offset | None = None
    end: _Offset | None = None
    fragments: list[tuple[_Offset, _Offset]] | None = None
    id: StrictStr = ""
    attributes: _Texts = Field(default_factory=dict)
    surface: StrictStr | None = None

    @model_validator(mode="after")
    def _has_one_place(self) -> _Span:
        pair = self.start is not None and self.end is not None
        if pair == (self.fragments is not None):
            raise ValueError("a span has either start and end or fragments")
        return self

    def made(self) -> Span:
        fragments = tuple(self.fragments) if self.fragments is not None else ((self.start, self.end),)
        return Span(label=self.label, fragments=fragments, id=self.id, attributes=self.attributes)  # type: ignore[arg-type]


class _Relation(_Record):
    label: StrictStr
    head: StrictStr
    tail: StrictStr
    id: StrictStr = ""

    def made(self) -> Relation:
        return Relation(label=self.label, head=self.head, tail=self.tail, id=self.id)


class _Document(_Record):
    id: StrictStr
    text: StrictStr
    unit: StrictStr = UNIT
    spans: list[_Span] = Field(default_factory=list)
    relations: list[_Relation] = Field(default_factory=list)
    group: StrictStr = ""
    metadata: _Texts = Field(default_factory=dict)
    answers: dict[StrictStr, StrictStr | None] = Field(default_factory=dict)
    provenance: dict[StrictStr, Any] = Field(default_factory=dict)

    def told(self) -> dict[str, str]:
        """Metadata with the answers and the origin of predicted annotation."""
        answers = {f"answer {task}": answer for task, answer in self.answers.items() if answer is not None}
        origin = {"provenance": json.dumps(self.provenance, ensure_ascii=False)} if self.provenance else {}
        return {**self.metadata, **answers, **origin}


class _Answer(_Record):
    spans: list[_Span] = Field(default_factory=list)
    relations: list[_Relation] = Field(default_factory=list)
    label: StrictStr | None = None
    text: StrictStr | None = None


class _Report(_Record):
    items: _Offset = 0
    unreadable: _Offset = 0
    unlocated: _Offset = 0
    ambiguous: _Offset = 0
    truncated: _Offset = 0
    repeated: _Offset = 0


class _Prediction(_Record):
    example: StrictStr
    answer: _Answer
    report: _Report = Field(default_factory=_Report)
    raw: StrictStr = ""
    ambiguous: list[StrictStr] = Field(default_factory=list)
    provenance: _Texts = Field(default_factory=dict)


def document_of(record: Mapping[str, Any], *, where: str) -> Document:
    """The document of a JSON object; :class:`InputError` when it has another form or a surface that
    differs.
    """
    read = _validated(_Document, record, where=where)
    if read.unit != UNIT:
        raise InputError("the offsets are not in code points", where=where, allowed=f"unit: {UNIT}")
    ids = [span.id for span in read.spans if span.id]
    if len(set(ids)) != len(ids):
        raise InputError("two spans have the same id", where=where)
    for place, span in enumerate(read.spans, 1):
        made = span.made()
        if span.surface is not None and span.surface != made.surface(read.text):
            raise InputError(f"the surface of span {place} is not the text at {list(made.fragments)}", where=where)
    try:
        return Document(
            id=read.id,
            text=read.text,
            spans=tuple(span.made() for span in read.spans),
            relations=tuple(relation.made() for relation in read.relations),
            group=read.group,
            metadata=read.told(),
        )
    except InputError as fault:
        raise InputError(fault.what, where=where, allowed=fault.allowed, fix=fault.fix) from None


def prediction_of(record: Mapping[str, Any], *, where: str) -> Prediction:
    """The prediction of a JSON object; :class:`InputError` when it has another form."""
    read = _validated(_Prediction, record, where=where)
    answer = Answer(
        spans=tuple(span.made() for span in read.answer.spans),
        relations=tuple(relation.made() for relation in read.answer.relations),
        label=read.answer.label,
        text=read.answer.text,
    )
    report = DecodeReport(**read.report.model_dump())
    return Prediction(
        example=read.example,
        answer=answer,
        report=report,
        raw=read.raw,
        ambiguous=tuple(read.ambiguous),
        provenance=read.provenance,
    )


def document_record(document: Document) -> dict[str, Any]:
    """The JSON object of a document."""
    record: dict[str, Any] = {"id": document.id, "text": document.text, "unit": UNIT}
    if document.group != document.id:
        record["group"] = document.group
    record["spans"] = [span_record(span) for span in document.spans]
    record["relations"] = [relation_record(relation) for relation in document.relations]
    if document.metadata:
        record["metadata"] = dict(document.metadata)
    return record


def prediction_record(prediction: Prediction) -> dict[str, Any]:
    """The JSON object of a prediction."""
    answer = prediction.answer
    return {
        "example": prediction.example,
        "answer": {
            "spans": [span_record(span) for span in answer.spans],
            "relations": [relation_record(relation) for relation in answer.relations],
            "label": answer.label,
            "text": answer.text,
        },
        "report": dataclasses.asdict(prediction.report),
        "raw": prediction.raw,
        "ambiguous": list(prediction.ambiguous),
        "provenance": dict(prediction.provenance),
    }


def span_record(span: Span) -> dict[str, Any]:
    """The JSON object of a span: ``start`` and ``end``, or ``fragments`` when it has several."""
    record: dict[str, Any] = {"id": span.id} if span.id else {}
    record["label"] = span.label
    if len(span.fragments) == 1:
        record["start"], record["end"] = span.fragments[0]
    else:
        record["fragments"] = [list(fragment) for fragment in span.fragments]
    if span.attributes:
        record["attributes"] = dict(span.attributes)
    return record


def relation_record(relation: Relation) -> dict[str, Any]:
    """The JSON object of a relation."""
    record = {"id": relation.id} if relation.id else {}
    return record | {"label": relation.label, "head": relation.head, "tail": relation.tail}


DOCUMENT_KEYS = frozenset(_Document.model_fields)
"""The keys that a document's JSON object may have."""

Model = TypeVar("Model", bound=_Record)


def _validated(model: type[Model], record: Mapping[str, Any], *, where: str) -> Model:
    try:
        return model.model_validate(record)
    except ValidationError as error:
        found = error.errors(include_input=False, include_context=False, include_url=False)
    # Names of unknown keys come from the file and are not repeated: a broken export may hold note text there.
    faults = [
        "a key that is not known" if fault["type"] == "extra_forbidden" else _place(fault["loc"]) + fault["msg"]
        for fault in found
    ]
    shown = "; ".join(dict.fromkeys(faults[:4])) + ("; …" if len(faults) > 4 else "")
    raise InputError(f"the record has another form: {shown}", where=where, allowed=", ".join(model.model_fields))


def _place(location: tuple[int | str, ...]) -> str:
    known = {*_Document.model_fields, *_Span.model_fields, *_Relation.model_fields, *_Prediction.model_fields}
    words = [str(step) if isinstance(step, int) or step in known else "…" for step in location]
    return f"{'.'.join(words)}: " if words else ""
