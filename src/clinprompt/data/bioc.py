"""Documents as BioC records (the shape of BioC JSON), both directions: passages, annotations, relations."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from clinprompt.data.faults import Faults
from clinprompt.data.offsets import Offsets, width
from clinprompt.data.standoff import flat
from clinprompt.errors import InputError
from clinprompt.schema.concepts import CONCEPT, ConceptRelation, between_mentions, stated
from clinprompt.schema.document import Document, Fragment, Relation, Span, check_spans

UNIT, GROUP = "clinprompt.unit", "clinprompt.group"
"""Infons of ours: the unit of offsets (of the collection, and of each document), the patient of a document."""
PASSAGES = "bioc passages"
"""Metadata that tells what a file says of its passages: a JSON list of start, end and infons."""
IDENTIFIER = "identifier"
"""The infon of a concept id, which is the attribute ``concept`` of a span."""
LONGEST_GAP = 1_000_000
_ROLES = ("head", "tail")


def document_of(
    record: Mapping[str, Any], *, unit: str, label: str, concepts: str, directed: bool, where: str
) -> Document:
    """The document of a BioC record; its text is the passages (or sentences) at their offsets, blanks between.

    ``unit`` is what offsets count, ``label`` the infon that holds the label, ``concepts`` and ``directed`` say which
    relations between concepts become relations between mentions, and how
    (:func:`clinprompt.schema.concepts.between_mentions`). Raises :class:`InputError` that lists all annotations
    whose text is not the text at their locations.
    """
    name = record.get("id")
    if not isinstance(name, str | int) or name == "":
        raise InputError("the document has no id", where=where)
    text, passages = _text(record, unit=unit, where=where)
    offsets, counts, faults = Offsets(text, unit), Counter(), Faults()
    spans: list[Span] = []
    for place, annotation in enumerate(_below(record, "annotations", where=where), 1):
        with faults.gathered():
            _add_span(spans, annotation, text, offsets, counts, label=label, where=f"{where} annotation {place}")
    faults.raise_all()
    ids = [span.id for span in spans if span.id]
    if len(set(ids)) != len(ids):
        raise InputError("two annotations have the same id", where=where)
    relations: list[Relation] = []
    said: list[ConceptRelation] = []
    for place, relation in enumerate(_below(record, "relations", where=where), 1):
        with faults.gathered():
            found = _relation(relation, set(ids), counts, where=f"{where} relation {place}")
            if isinstance(found, Relation):
                relations.append(found)
            elif found is not None:
                said.append(found)
    faults.raise_all()
    placed = between_mentions(said, spans, placing=concepts, directed=directed)
    taken = {relation.id for relation in relations}
    free = [f"R{number}" for number in range(1, len(placed) + len(taken) + 1) if f"R{number}" not in taken]
    relations += [replace(relation, id=new) for relation, new in zip(placed, free, strict=False)]
    infons = _infons(record, where=where)
    infons.pop(UNIT, None)
    group = infons.pop(GROUP, "")
    counted = {f"bioc {kind}": str(count) for kind, count in sorted(counts.items()) if count}
    sections = {PASSAGES: json.dumps(passages, ensure_ascii=False)} if passages else {}
    metadata = {**infons, **sections, **stated(said), **counted}
    return Document(str(name), text, tuple(spans), tuple(relations), group=group, metadata=metadata)


def record_of(document: Document, *, unit: str, lost: Counter[str]) -> dict[str, Any]:
    """The BioC record of a document, one passage; what it cannot hold is counted in ``lost``.

    Empty ids are left out. The attribute ``concept`` is the infon ``identifier``. Attributes with the names ``type``
    and ``identifier`` and metadata with a name of ours are lost.
    """
    offsets = Offsets(document.text, unit)
    infons = {key: value for key, value in document.metadata.items() if key not in (UNIT, GROUP)}
    lost["metadata"] += len(document.metadata) - len(infons)
    if document.group != document.id:
        infons[GROUP] = document.group
    ids = [span.id for span in document.spans if span.id]
    if len(set(ids)) != len(ids):
        raise InputError("two spans have the same id", where=f"document {document.id}")
    annotations = []
    for span in document.spans:
        held = {key: value for key, value in span.attributes.items() if key not in ("type", IDENTIFIER)}
        lost["attributes"] += len(span.attributes) - len(held)
        if CONCEPT in held:
            held[IDENTIFIER] = held.pop(CONCEPT)
        locations = [
            {"offset": offsets.written(start), "length": offsets.written(end) - offsets.written(start)}
            for start, end in span.fragments
        ]
        annotations.append(
            {
                "id": span.id,
                "infons": {**held, "type": span.label},
                "text": span.surface(document.text),
                "locations": locations,
            }
        )
    relations = [
        {
            "id": relation.id,
            "infons": {"type": relation.label},
            "nodes": [
                {"refid": end, "role": role} for end, role in zip((relation.head, relation.tail), _ROLES, strict=True)
            ],
        }
        for relation in document.relations
    ]
    passage = {"infons": {}, "offset": 0, "text": document.text, "sentences": [], "annotations": annotations}
    return {
        "id": document.id,
        "infons": {**infons, UNIT: unit},
        "passages": [{**passage, "relations": relations}],
        "annotations": [],
        "relations": [],
    }


def _text(record: Mapping[str, Any], *, unit: str, where: str) -> tuple[str, list[Any]]:
    """The text, and ``[start, end, infons]`` of each passage that has infons."""
    pieces: list[tuple[int, str, int]] = []
    infons: list[dict[str, str]] = []
    for place, passage in enumerate(_listed(record, "passages", where=where)):
        infons.append(_infons(passage, where=where))
        sentences = _listed(passage, "sentences", where=where)
        for part in sentences if not passage.get("text") and sentences else [passage]:
            offset, text = part.get("offset"), part.get("text") or ""
            if not isinstance(offset, int) or isinstance(offset, bool) or offset < 0 or not isinstance(text, str):
                raise InputError("the passage has no offset or no text", where=f"{where} passage {place + 1}")
            pieces.append((offset, text, place))
    whole, cursor = "", 0
    ends: dict[int, tuple[int, int]] = {}
    for offset, text, place in sorted(pieces, key=lambda piece: piece[0]):
        if not text:
            continue
        if not 0 <= offset - cursor <= LONGEST_GAP:
            raise InputError(
                f"the passage at offset {offset} overlaps the one before it, which ends at {cursor}, or is too far off",
                where=where,
                fix=f"check that offsets count {unit}s",
            )
        whole += " " * (offset - cursor) + text
        cursor = offset + width(text, unit)
        ends[place] = (ends.get(place, (len(whole) - len(text), 0))[0], len(whole))
    return whole, [[*ends[place], named] for place, named in enumerate(infons) if named and place in ends]


def _add_span(
    spans: list[Span], record: Mapping[str, Any], text: str, offsets: Offsets, counts: Counter[str], *,
    label: str, where: str,
) -> None:  # fmt: skip
    infons = _infons(record, where=where)
    kind = infons.pop(label, "")
    if not kind:
        raise InputError(f"the annotation has no infon {label!r}", where=where, fix="name the infon: label")
    locations = _listed(record, "locations", where=where)
    if not locations:
        counts["annotations without a place"] += 1
        return
    fragments = tuple(sorted(_fragment(location, offsets, where=where) for location in locations))
    if IDENTIFIER in infons:
        infons = {**infons, CONCEPT: infons[IDENTIFIER]}
        del infons[IDENTIFIER]
    name = record.get("id")
    span = Span(kind, fragments, "" if name is None else str(name), infons)
    check_spans((span,), length=len(text), where=where)
    surface = record.get("text")
    if not isinstance(surface, str) or not _same(span, text, surface):
        raise InputError(
            f"the text of the annotation is not the text at {list(fragments)}",
            where=where,
            fix=f"check that offsets count {offsets.unit}s",
        )
    spans.append(span)


def _same(span: Span, text: str, surface: str) -> bool:
    if len(span.fragments) == 1:
        return flat(span.surface(text)) == flat(surface)
    # Tools differ in what stands between the parts of a discontinuous mention.
    return "".join(span.surface(text).split()) == "".join(surface.split())


def _fragment(location: Mapping[str, Any], offsets: Offsets, *, where: str) -> Fragment:
    start, length = location.get("offset"), location.get("length")
    if type(start) is not int or type(length) is not int:
        raise InputError("the location has no offset or no length", where=where)
    try:
        return offsets.codepoint(start), offsets.codepoint(start + length)
    except InputError as fault:
        raise InputError(fault.what, where=where, allowed=fault.allowed, fix=fault.fix) from None


def _relation(
    record: Mapping[str, Any], ids: set[str], counts: Counter[str], *, where: str
) -> Relation | ConceptRelation | None:
    infons = _infons(record, where=where)
    nodes = _listed(record, "nodes", where=where)
    kind, name = infons.pop("type", ""), str(record.get("id") or "")
    if not kind:
        raise InputError("the relation has no infon 'type'", where=where)
    head, tail = (infons.pop(key, "") for key in ("entity1", "entity2"))
    if not nodes and head and tail:
        remark = infons.pop("novel", "")
        counts["infons of relations"] += len(infons)
        return ConceptRelation(kind, head, tail, remark)
    counts["infons of relations"] += len(infons)
    refs = [str(node.get("refid")) for node in nodes]
    if tuple(node.get("role") for node in nodes) == _ROLES[::-1]:
        refs = refs[::-1]
    if len(refs) == 2 and ids.issuperset(refs):
        return Relation(kind, refs[0], refs[1], name)
    # Of three ends, with another relation as an end, or with an annotation without a place.
    counts["relations of other than two mentions"] += 1
    return None


def _below(record: Mapping[str, Any], kind: str, *, where: str) -> Iterator[Mapping[str, Any]]:
    """The annotations or relations of a document, of its passages and of their sentences."""
    yield from _listed(record, kind, where=where)
    for part in ("passages", "sentences"):
        for inner in _listed(record, part, where=where):
            yield from _below(inner, kind, where=where)


def _listed(record: Mapping[str, Any], key: str, *, where: str) -> list[Mapping[str, Any]]:
    value = record.get(key) or []
    if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
        raise InputError(f"{key!r} is no list of objects", where=where)
    return value


def _infons(record: Mapping[str, Any], *, where: str) -> dict[str, str]:
    infons = record.get("infons") or {}
    if not isinstance(infons, dict):
        raise InputError("'infons' is no object", where=where)
    return {
        key: value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        for key, value in infons.items()
        if value is not None
    }
