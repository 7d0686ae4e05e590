"""FHIR R4: one Bundle with the notes, what is said in them with its evidence, and where it comes from."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TextIO

from clinprompt.data.answered import made_by
from clinprompt.data.atomic import new_file
from clinprompt.data.faults import Faults
from clinprompt.data.fhir_codes import checked_systems
from clinprompt.data.fhir_relations import put_relations
from clinprompt.data.fhir_resources import (
    Resource,
    address,
    checked_types,
    mention_of,
    provenance_of,
    resource_type,
    source_of,
)
from clinprompt.data.offsets import Offsets, checked_unit
from clinprompt.errors import InputError
from clinprompt.schema.document import Document


def write(
    documents: Iterable[Document],
    path: Path,
    *,
    overwrite: bool = False,
    provenance: Mapping[str, Any] | None = None,
    resources: Mapping[str, str] | None = None,
    systems: Mapping[str, str] | None = None,
    embed: bool = True,
    unit: str = "codepoint",
    recorded: str = "",
) -> dict[str, int]:
    """Write a Bundle (type ``collection``) to a JSON file and return what it does not hold, counted.

    A note is a DocumentReference (its text in it unless ``embed`` is unset), a mention a Condition,
    MedicationStatement, Observation, Procedure, AllergyIntolerance or FamilyMemberHistory: ``resources`` maps
    labels to them, or to nothing; other labels go by :data:`clinprompt.data.fhir_resources.RESOURCES`, and those of
    neither are counted. The attribute ``concept`` (``RxNorm:1191``) becomes the coding; ``systems`` adds URIs of
    terminologies to :data:`clinprompt.data.fhir_codes.SYSTEMS`. Negated is ``refuted``, ``not-taken``, ``not-done``
    or ``valueBoolean`` false; of another person is FamilyMemberHistory; hypothetical is left out. Nothing is
    ``confirmed``: a program has read it. Relations that join doses, routes or frequencies to a medicine become its
    ``dosage``, those that name a reason ``reasonReference``; others are counted. Evidence is the extension
    ``derivation-reference``, a part per fragment, offsets in ``unit``. The patient is named by the document's group
    as a logical reference. One Provenance tells the run, at the time ``recorded`` (ISO 8601 with a zone, now if
    empty). Ids of resources depend on the documents only, so the same notes give the same resources.

    Raises :class:`InputError` for unknown resource types, URIs of another form, a time without a zone, documents
    without an id or with the same, and when the file is there already.
    """
    with (
        new_file(path, overwrite=overwrite) as part,
        part.open("w", encoding="utf-8", newline="") as stream,
    ):
        return write_bundle(
            documents, stream, provenance=provenance, resources=resources, systems=systems, embed=embed, unit=unit,
            recorded=recorded,
        )  # fmt: skip


def write_bundle(
    documents: Iterable[Document],
    stream: TextIO,
    *,
    provenance: Mapping[str, Any] | None = None,
    resources: Mapping[str, str] | None = None,
    systems: Mapping[str, str] | None = None,
    embed: bool = True,
    unit: str = "codepoint",
    recorded: str = "",
) -> dict[str, int]:
    """Write the Bundle of :func:`write` to an open stream; the same is returned and raised."""
    chosen, known, when = checked_types(resources or {}), checked_systems(systems or {}), _when(recorded)
    checked_unit(unit)
    lost, faults, targets, sources = Counter[str](), Faults(), list[str](), dict[str, str]()
    stream.write(json.dumps({"resourceType": "Bundle", "type": "collection", "timestamp": when})[:-1])

    def add(name: str, resource: Resource) -> None:
        stream.write(",\n" if sources else ', "entry": [\n')
        stream.write(json.dumps({"fullUrl": name, "resource": resource}, ensure_ascii=False))

    for document in documents:
        with faults.gathered():
            source = address(document.id)
            if not document.id.strip() or document.id in sources:
                raise InputError("the document has no id of its own", where=f"document {document.id}")
            add(source, source_of(document, embed=embed))
            sources[document.id] = source
            offsets = Offsets(document.text, unit)
            lost["metadata"] += len(document.metadata)
            lost["texts"] += not embed
            mentions: list[tuple[str, Resource]] = []
            made_of: dict[str, tuple[str, Resource]] = {}
            without: list[str] = []
            for place, span in enumerate(document.spans):
                kind = resource_type(span.label, chosen)
                if not kind:
                    without.append(span.id)
                    continue
                made = mention_of(document, span, kind, source=source, offsets=offsets, systems=known, lost=lost)
                if made is not None:
                    mentions.append((address(document.id, place, *span.key), made))
                    made_of.setdefault(span.id, mentions[-1])
            apart, dosages = put_relations(document, made_of)
            lost["relations"] += apart
            lost["labels without a resource"] += sum(name not in dosages for name in without)
            for target, made in mentions:
                targets.append(target)
                add(target, made)
    faults.raise_all()
    if targets:
        agent, prompts = made_by(provenance) or "clinprompt", (provenance or {}).get("prompts", ())
        run = provenance_of(targets, list(sources.values()), prompts, agent=agent, recorded=when)
        add(address("run", when, agent, *targets), run)
    stream.write("\n]}\n" if sources else "}\n")
    return {kind: count for kind, count in sorted(lost.items()) if count}


def _when(recorded: str) -> str:
    try:
        when = datetime.fromisoformat(recorded) if recorded else datetime.now(UTC)
    except ValueError:
        when = None
    if when is None or when.tzinfo is None:
        raise InputError(f"the option recorded has the value {recorded!r}", allowed="2026-01-31T08:00:00+00:00")
    return when.isoformat(timespec="seconds")
