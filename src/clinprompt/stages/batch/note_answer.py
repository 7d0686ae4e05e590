"""What was answered about one note, without the note: places, labels, answers, and what the ledger says."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from clinprompt.data.records import relation_record, span_record
from clinprompt.schema.document import Document, Relation, Span
from clinprompt.schema.prediction import DecodeReport
from clinprompt.stages.batch.notes import Item


@dataclass(frozen=True, slots=True)
class NoteAnswer:
    """Spans and relations of all tasks; classes, keys and texts by task name in ``answers``, of which those in
    ``placed`` are a span of the note too.

    ``ledger`` has a line per task. ``grounding`` counts the model's answers by how they were grounded; ``provenance``
    is what made the first of them.
    """

    characters: int
    spans: tuple[Span, ...] = ()
    relations: tuple[Relation, ...] = ()
    answers: Mapping[str, str | None] = field(default_factory=dict)
    placed: tuple[str, ...] = ()
    ledger: tuple[Mapping[str, Any], ...] = ()
    decoding: DecodeReport = field(default_factory=DecodeReport)
    grounding: Mapping[str, int] = field(default_factory=dict)
    provenance: Mapping[str, Any] = field(default_factory=dict)

    def kept(self, *, placed: bool) -> dict[str, str | None]:
        """The answers; without ``placed`` those only that are not a span of the note too."""
        return {name: text for name, text in self.answers.items() if placed or name not in self.placed}


def document_of(item: Item, answer: NoteAnswer, *, annotated: bool) -> Document:
    """The note with its answer; ``annotated`` notes keep what else was known of them."""
    if annotated and isinstance(item, Document):
        return replace(item, spans=answer.spans, relations=answer.relations)
    text = item.text if isinstance(item, Document) else item.note
    return Document(item.id, text, answer.spans, answer.relations, group=item.group)


def answer_record(answer: NoteAnswer) -> dict[str, Any]:
    """The JSON object of an answer; its provenance stands elsewhere, once."""
    return {
        "characters": answer.characters,
        "spans": [span_record(span) for span in answer.spans],
        "relations": [relation_record(relation) for relation in answer.relations],
        "answers": dict(answer.answers),
        "placed": answer.placed,
        "ledger": answer.ledger,
        "decoding": asdict(answer.decoding),
        "grounding": dict(answer.grounding),
    }


def answer_of(record: Mapping[str, Any]) -> NoteAnswer:
    """The answer of a JSON object that :func:`answer_record` made."""
    return NoteAnswer(
        characters=record["characters"],
        spans=tuple(map(span_of, record["spans"])),
        relations=tuple(Relation(**relation) for relation in record["relations"]),
        answers=record["answers"],
        placed=tuple(record["placed"]),
        ledger=tuple(record["ledger"]),
        decoding=DecodeReport(**record["decoding"]),
        grounding=record["grounding"],
    )


def span_of(record: Mapping[str, Any]) -> Span:
    """The span of a JSON object with ``start`` and ``end``, or ``fragments``."""
    fragments = record.get("fragments") or [(record["start"], record["end"])]
    places = tuple((start, end) for start, end in fragments)
    return Span(record["label"], places, record.get("id", ""), record.get("attributes", {}))
