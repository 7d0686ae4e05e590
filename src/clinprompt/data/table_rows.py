"""Documents as rows: one per span, relation and answer, one per document, or REDCap's repeated instruments."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from clinprompt.data.answered import Answers
from clinprompt.errors import InputError
from clinprompt.schema.document import Document, Span

Row = dict[str, Any]
LONG = {
    "document": str, "group": str, "kind": str, "id": str, "label": str, "start": int, "end": int, "fragments": str,
    "surface": str, "head": str, "tail": str, "attributes": str, "value": str, "made_by": str,
}  # fmt: skip
"""Columns of the long table; ``kind`` is span, relation or answer, ``attributes`` a JSON object."""
REDCAP = ("record_id", "redcap_repeat_instrument", "redcap_repeat_instance")
FIELDS = {
    "mention": ("document", "id", "label", "text", "attributes", "fragments"),
    "relation": ("document", "label", "head", "tail"),
    "answer": ("document", "task", "value"),
}
"""Instruments of a REDCap project and their fields."""
UNVERIFIED = 1
"""REDCap's form status of what no person has looked at."""


def long_rows(pairs: Iterable[tuple[Document, Answers]], *, model: str, lost: Counter[str]) -> Iterator[Row]:
    """A row per span, relation and answer; offsets count code points."""
    for document, answers in pairs:
        rows = [_span_row(document, span) for span in document.spans]
        rows += [
            {"kind": "relation", "id": link.id, "label": link.label, "head": link.head, "tail": link.tail}
            for link in document.relations
        ]
        rows += [
            {"kind": "answer", "label": task, "value": answer} for task, answer in answers.items() if answer is not None
        ]
        lost["documents without a row"] += not rows
        lost["metadata"] += len(document.metadata)
        lost["texts"] += 1
        for row in rows:
            yield {**dict.fromkeys(LONG), "document": document.id, "group": document.group, "made_by": model, **row}


def wide_columns(pairs: Iterable[tuple[Document, Answers]]) -> dict[str, type]:
    """Columns of the table with a row per document: what stands in any of them, which takes a pass of its own."""
    labels, links, tasks = set[str](), set[str](), set[str]()
    for document, answers in pairs:
        labels.update(span.label for span in document.spans)
        links.update(link.label for link in document.relations)
        tasks.update(answers)
    counted = [column for label in sorted(labels) for column in ((f"{label}: n", int), (f"{label}: words", str))]
    related = [(f"{label}: n relations", int) for label in sorted(links)]
    told = [(f"answer: {task}", str) for task in sorted(tasks)]
    return dict([("document", str), ("group", str), *counted, *related, *told, ("made_by", str)])


def wide_rows(
    pairs: Iterable[tuple[Document, Answers]], columns: Mapping[str, type], *, model: str, lost: Counter[str]
) -> Iterator[Row]:
    """A row per document: of each label the number of spans and their words, then each answer."""
    empty: Row = {name: 0 if kind is int else "" if name.endswith(": words") else None
                  for name, kind in columns.items()}  # fmt: skip
    for document, answers in pairs:
        row = {**empty, "document": document.id, "group": document.group, "made_by": model}
        words: dict[str, list[str]] = {}
        for span in document.spans:
            words.setdefault(span.label, []).append(span.surface(document.text))
        for label, found in words.items():
            row |= {f"{label}: n": len(found), f"{label}: words": " | ".join(found)}
        counted = Counter(link.label for link in document.relations)
        row |= {f"{label}: n relations": count for label, count in counted.items()}
        row |= {f"answer: {task}": answer for task, answer in answers.items()}
        lost["offsets"] += len(document.spans)
        lost["attributes"] += sum(len(span.attributes) for span in document.spans)
        lost["relations"] += len(document.relations)
        lost["metadata"] += len(document.metadata)
        lost["texts"] += 1
        yield row


def redcap_columns(pairs: Iterable[tuple[Document, Answers]], *, evidence: bool) -> dict[str, type]:
    """Columns of REDCap's import form, with the fields of those instruments that the documents need."""
    used: set[str] = set()
    for document, answers in pairs:
        used |= {"mention"} if document.spans else set()
        used |= {"relation"} if document.relations else set()
        used |= {"answer"} if any(answer is not None for answer in answers.values()) else set()
    record, instrument, instance = REDCAP
    columns: dict[str, type] = {record: str, instrument: str, instance: int}
    for form, names in FIELDS.items():
        if form in used:
            kept = [name for name in names if evidence or name != "fragments"]
            columns |= {f"{form}_{name}": str for name in (*kept, "made_by")} | {f"{form}_complete": int}
    return columns


def redcap_rows(
    pairs: Iterable[tuple[Document, Answers]],
    columns: Mapping[str, type],
    *,
    model: str,
    codes: Mapping[str, str],
    lost: Counter[str],
) -> Iterator[Row]:
    """Rows of the repeated instruments ``mention``, ``relation`` and ``answer``; a record is a patient.

    ``codes`` maps labels to the choice codes of the data dictionary. How often each instrument stands is kept by
    patient, as the notes of one may come in any order.
    """
    instances = Counter[tuple[str, str]]()

    def row(document: Document, instrument: str, **values: Any) -> Row:
        instances[document.group, instrument] += 1
        made: Row = dict(zip(REDCAP, (document.group, instrument, instances[document.group, instrument]), strict=True))
        told = {"document": document.id, **values, "made_by": model, "complete": UNVERIFIED}
        made |= {f"{instrument}_{name}": value for name, value in told.items()}
        return {name: value for name, value in made.items() if name in columns}

    for document, answers in pairs:
        for span in document.spans:
            made = _span_row(document, span)
            values = {key: made[key] for key in ("id", "fragments", "attributes")}
            yield row(document, "mention", label=codes.get(span.label, span.label), text=made["surface"], **values)
        for link in document.relations:
            label = codes.get(link.label, link.label)
            yield row(document, "relation", label=label, head=link.head, tail=link.tail)
        for task, answer in answers.items():
            if answer is not None:
                yield row(document, "answer", task=task, value=codes.get(answer, answer))
        lost["ids"] += sum(bool(link.id) for link in document.relations)
        lost["offsets"] += 0 if "mention_fragments" in columns else len(document.spans)
        lost["metadata"] += len(document.metadata)
        lost["texts"] += 1


def checked_codes(codes: Mapping[str, Any]) -> dict[str, str]:
    """Choice codes as texts; raises :class:`InputError` for what REDCap does not take as one."""
    made = {str(label): str(code) for label, code in codes.items()}
    for label, code in made.items():
        if not re.fullmatch(r"[A-Za-z0-9._-]+", code):
            raise InputError(f"the choice code {code!r} of {label!r} is not usable", allowed="letters, digits, . _ -")
    return made


def _span_row(document: Document, span: Span) -> Row:
    return {
        "kind": "span",
        "id": span.id,
        "label": span.label,
        "start": span.start,
        "end": span.end,
        "fragments": ";".join(f"{start}-{end}" for start, end in span.fragments),
        "surface": span.surface(document.text),
        "attributes": json.dumps(dict(span.attributes), ensure_ascii=False) if span.attributes else None,
    }
