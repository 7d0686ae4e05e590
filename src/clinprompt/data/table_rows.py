"""Documents as rows: one per span, relation and answer, one per document, or REDCap's repeated instruments."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
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


def wide_rows(
    pairs: Sequence[tuple[Document, Answers]], *, model: str, lost: Counter[str]
) -> tuple[list[str], list[Row]]:
    """Columns and a row per document: of each label the number of spans and their words, then each answer."""
    labels = sorted({span.label for document, _ in pairs for span in document.spans})
    links = sorted({link.label for document, _ in pairs for link in document.relations})
    tasks = sorted({task for _, answers in pairs for task in answers})
    columns = ["document", "group"]
    columns += [name for label in labels for name in (f"{label}: n", f"{label}: words")]
    columns += [f"{label}: n relations" for label in links] + [f"answer: {task}" for task in tasks] + ["made_by"]
    rows = []
    for document, answers in pairs:
        row: Row = {"document": document.id, "group": document.group, "made_by": model}
        for label in labels:
            found = [span.surface(document.text) for span in document.spans if span.label == label]
            row |= {f"{label}: n": len(found), f"{label}: words": " | ".join(found)}
        counted = Counter(link.label for link in document.relations)
        row |= {f"{label}: n relations": counted[label] for label in links}
        row |= {f"answer: {task}": answers.get(task) for task in tasks}
        rows.append(row)
        lost["offsets"] += len(document.spans)
        lost["attributes"] += sum(len(span.attributes) for span in document.spans)
        lost["relations"] += len(document.relations)
        lost["metadata"] += len(document.metadata)
        lost["texts"] += 1
    return columns, rows


def redcap_rows(
    pairs: Sequence[tuple[Document, Answers]],
    *,
    model: str,
    codes: Mapping[str, str],
    evidence: bool,
    lost: Counter[str],
) -> tuple[list[str], list[Row]]:
    """Columns and rows of the repeated instruments ``mention``, ``relation`` and ``answer``; a record is a patient.

    ``codes`` maps labels to the choice codes of the data dictionary, ``evidence`` adds the places of mentions.
    """
    fields = {
        "mention": ["document", "id", "label", "text", "attributes", *(["fragments"] if evidence else [])],
        "relation": ["document", "label", "head", "tail"],
        "answer": ["document", "task", "value"],
    }
    unusable = [code for code in codes.values() if not re.fullmatch(r"[A-Za-z0-9._-]+", code)]
    if unusable:
        raise InputError(f"the choice code {unusable[0]!r} is not usable", allowed="letters, digits, . _ -")
    rows, instances, used = [], Counter[tuple[str, str]](), set()

    def add(document: Document, instrument: str, **values: Any) -> None:
        used.add(instrument)
        instances[document.group, instrument] += 1
        row = dict(zip(REDCAP, (document.group, instrument, instances[document.group, instrument]), strict=True))
        values = {"document": document.id, **values}
        row |= {f"{instrument}_{name}": values[name] for name in fields[instrument]}
        rows.append(row | {f"{instrument}_made_by": model, f"{instrument}_complete": UNVERIFIED})

    for document, answers in pairs:
        for span in document.spans:
            made = _span_row(document, span)
            values = {key: made[key] for key in ("id", "fragments", "attributes")}
            add(document, "mention", label=codes.get(span.label, span.label), text=made["surface"], **values)
        for link in document.relations:
            add(document, "relation", label=codes.get(link.label, link.label), head=link.head, tail=link.tail)
        for task, answer in answers.items():
            if answer is not None:
                add(document, "answer", task=task, value=codes.get(answer, answer))
        lost["ids"] += sum(bool(link.id) for link in document.relations)
        lost["offsets"] += 0 if evidence else len(document.spans)
        lost["metadata"] += len(document.metadata)
        lost["texts"] += 1
    columns = [*REDCAP]
    for instrument, names in fields.items():
        if instrument in used:
            columns += [f"{instrument}_{name}" for name in (*names, "made_by", "complete")]
    return columns, rows


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
