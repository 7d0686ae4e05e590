"""Documents as Label Studio tasks, both directions: regions, relations, and what stands beside a region."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from clinprompt.data.answered import Answers
from clinprompt.data.faults import Faults
from clinprompt.data.naming import distinct_names
from clinprompt.data.offsets import Offsets
from clinprompt.errors import InputError
from clinprompt.schema.document import Document, Fragment, Relation, Span

JOINED = "discontinuous"
"""The relation that joins the regions of one discontinuous span; regions have one stretch of text each."""
SOURCES = ("annotations", "predictions")
_REGIONS = ("labels", "hypertextlabels")
_BESIDE = ("choices", "textarea", "rating", "number", "taxonomy", "datetime")


@dataclass
class _Result:
    """What the items of one annotation say, by region."""

    regions: dict[str, tuple[list[str], Fragment]] = field(default_factory=dict)
    beside: dict[str, dict[str, str]] = field(default_factory=dict)
    whole: dict[str, str] = field(default_factory=dict)
    links: list[tuple[str, str, str]] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)


def document_of(
    text: str, result: Sequence[Mapping[str, Any]], *, unit: str, name: str, group: str,
    metadata: Mapping[str, str], where: str,
) -> Document:  # fmt: skip
    """The document of one annotation's result items.

    Choices, texts and numbers beside a region are attributes of its span, those of the whole text metadata.
    Raises :class:`InputError` that lists all regions whose words are not the text at their offsets.
    """
    read, offsets, faults = _Result(), Offsets(text, unit), Faults()
    for place, item in enumerate(result, 1):
        with faults.gathered():
            _add(read, item, text, offsets, where=f"{where} item {place}")
    faults.raise_all()
    first = {tail: head for label, head, tail in read.links if label == JOINED}
    if not set(first).issubset(read.regions):
        raise InputError(f"a relation {JOINED!r} leads nowhere", where=where)
    members: dict[str, list[Fragment]] = {}
    for region, (_, fragment) in read.regions.items():
        root = _root(region, first)
        if root not in read.regions or root in first:
            raise InputError(f"a relation {JOINED!r} leads nowhere", where=where)
        members.setdefault(root, []).append(fragment)
    spans: dict[str, list[Span]] = {}
    for region, (labels, _) in read.regions.items():
        if region not in first:
            fragments, beside = tuple(sorted(members[region])), read.beside.pop(region, {})
            ids = [region, *(f"{region}.{place}" for place in range(2, len(labels) + 1))]
            spans[region] = [Span(label, fragments, one, beside) for label, one in zip(labels, ids, strict=True)]
    read.counts["answers beside regions without a label"] += sum(map(len, read.beside.values()))
    relations = []
    for label, head, tail in read.links:
        if label != JOINED:
            ends = [_root(end, first) for end in (head, tail)]
            if not all(end in spans for end in ends):
                raise InputError("a relation names a region that is not there", where=where)
            relations.append(Relation(label, spans[ends[0]][0].id, spans[ends[1]][0].id, f"R{len(relations) + 1}"))
    counted = {f"label studio {kind}": str(count) for kind, count in sorted(read.counts.items()) if count}
    flat = tuple(span for several in spans.values() for span in several)
    return Document(name, text, flat, tuple(relations), group=group, metadata={**metadata, **read.whole, **counted})


def task_of(
    document: Document, answers: Answers, *, unit: str, source: str, model: str, control: str, field_name: str,
    choices: Sequence[str], lost: Counter[str],
) -> dict[str, Any]:  # fmt: skip
    """The task of a document with one prediction (or annotation); what it cannot hold is counted in ``lost``.

    Attributes named in ``choices`` stand as chosen values beside their regions, others as texts.
    """
    offsets, result, scores = Offsets(document.text, unit), [], []
    names = distinct_names([span.id for span in document.spans], prefix="T")
    lost["ids"] += sum(name != span.id for name, span in zip(names, document.spans, strict=True))
    taken = set(names)
    for name, span in zip(names, document.spans, strict=True):
        parts = [name]
        while len(parts) < len(span.fragments):
            parts.append(_free(f"{name}#{len(parts) + 1}", taken))
        values = [
            {"start": offsets.written(a), "end": offsets.written(b), "text": document.text[a:b]}
            for a, b in span.fragments
        ]
        score = _score(span.attributes.get("score", ""))
        for part, value in zip(parts, values, strict=True):
            item = _item(part, control, field_name, "labels", {**value, "labels": [span.label]})
            result.append(item if score is None else {**item, "score": score})
        scores += [] if score is None else [score]
        for key, value in span.attributes.items():
            if key in choices and value:
                result.append(_item(name, key, field_name, "choices", {**values[0], "choices": [value]}))
            elif key != "score" or score is None:
                result.append(_item(name, key, field_name, "textarea", {**values[0], "text": [value]}))
        result += [_relation(JOINED, name, part) for part in parts[1:]]
    by_id = dict(zip((span.id for span in document.spans), names, strict=True))
    for place, link in enumerate(document.relations, 1):
        lost["ids"] += link.id != f"R{place}"
        result.append(_relation(link.label, by_id[link.head], by_id[link.tail]))
    for task, answer in answers.items():
        if answer is not None:
            result.append(_item(f"answer-{task}", task, field_name, "textarea", {"text": [answer]}))
    made: dict[str, Any] = {"result": result}
    if source == "predictions":
        made = {
            "model_version": model or "clinprompt",
            **({"score": sum(scores) / len(scores)} if scores else {}),
            **made,
        }
    data = {field_name: document.text, "id": document.id}
    if document.group != document.id:
        data["group"] = document.group
    return {"data": data, **({"meta": dict(document.metadata)} if document.metadata else {}), source: [made]}


def _add(read: _Result, item: Mapping[str, Any], text: str, offsets: Offsets, *, where: str) -> None:
    kind, value = item.get("type"), item.get("value")
    if kind == "relation":
        ends = (str(item.get("from_id")), str(item.get("to_id")))
        labels = item.get("labels") or ["relation"]
        if not isinstance(labels, list):
            raise InputError("the labels of the relation are no list", where=where)
        read.links += [(str(label), *(ends[::-1] if item.get("direction") == "left" else ends)) for label in labels]
        return
    if not isinstance(value, dict) or kind not in (*_REGIONS, *_BESIDE):
        read.counts["items of other kinds"] += 1
        return
    region, held = str(item.get("id", "")), value.get("text" if kind == "textarea" else kind)
    if kind in _BESIDE:
        said = "; ".join(map(str, held)) if isinstance(held, list) else str(held)
        target = read.beside.setdefault(region, {}) if "start" in value else read.whole
        target[str(item.get("from_name", ""))] = said
        return
    if type(value.get("start")) is not int or type(value.get("end")) is not int:
        # Regions of HTML are places in its tree, not in a text.
        read.counts["regions that are not of a text"] += 1
        return
    if not isinstance(held, list) or not held or not region:
        raise InputError("the region has no label or no id", where=where)
    if region in read.regions:
        raise InputError("two regions have the same id", where=where)
    try:
        start, end = offsets.codepoint(value["start"]), offsets.codepoint(value["end"])
    except InputError as fault:
        raise InputError(fault.what, where=where, allowed=fault.allowed, fix=fault.fix) from None
    if "text" not in value:
        read.counts["regions without their words"] += 1
    elif value["text"] != text[start:end]:
        raise InputError(
            f"the words of the region are not the text at {value['start']}-{value['end']}",
            where=where,
            fix=f"check that offsets count {offsets.unit}s of this very text",
        )
    if isinstance(item.get("score"), int | float):
        read.beside.setdefault(region, {})["score"] = str(item["score"])
    read.regions[region] = ([str(label) for label in held], (start, end))


def _root(region: str, first: Mapping[str, str]) -> str:
    seen = {region}
    while region in first and first[region] not in seen:
        region = first[region]
        seen.add(region)
    return region


def _free(name: str, taken: set[str]) -> str:
    while name in taken:
        name += "#"
    taken.add(name)
    return name


def _score(value: str) -> float | None:
    try:
        number = float(value)
    except ValueError:
        return None
    return number if math.isfinite(number) and str(number) == value else None


def _item(region: str, control: str, to: str, kind: str, value: Mapping[str, Any]) -> dict[str, Any]:
    return {"id": region, "from_name": control, "to_name": to, "type": kind, "value": dict(value)}


def _relation(label: str, head: str, tail: str) -> dict[str, Any]:
    return {"type": "relation", "from_id": head, "to_id": tail, "direction": "right", "labels": [label]}
