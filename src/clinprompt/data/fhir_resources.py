"""FHIR R4 resources of documents and mentions, as JSON objects."""

from __future__ import annotations

import base64
import hashlib
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any
from uuid import NAMESPACE_URL, uuid5

from clinprompt.data.assertion import Assertion, assertion_of
from clinprompt.data.fhir_codes import codings, told
from clinprompt.data.offsets import Offsets
from clinprompt.errors import InputError
from clinprompt.schema.document import Document, Span

Resource = dict[str, Any]
EVIDENCE = "http://hl7.org/fhir/StructureDefinition/derivation-reference"
"""The standard extension for the place in a source text; its length may not stand without its offset."""
_TERMS = "http://terminology.hl7.org/CodeSystem/"
RESOURCES: Mapping[str, tuple[str, ...]] = {
    "Condition": (
        "problem", "disease", "disorder", "diseasedisorder", "condition", "diagnosis", "symptom", "sign",
        "signsymptom", "finding", "adr", "ade", "adverseevent", "adversereaction", "complaint", "sideeffect",
    ),
    "MedicationStatement": ("drug", "medication", "medicine", "chemical", "brand"),
    "Observation": ("observation", "test", "lab", "labtest", "labvalue", "vital", "vitalsign", "measurement"),
    "Procedure": ("procedure", "treatment", "surgery", "therapeuticprocedure", "diagnosticprocedure"),
    "AllergyIntolerance": ("allergy", "allergen", "intolerance"),
    "FamilyMemberHistory": ("familyhistory", "familymemberhistory"),
}  # fmt: skip
"""Resource types, and the labels that become each where the user says nothing (letters only, singular)."""


def resource_type(label: str, given: Mapping[str, str]) -> str:
    """The resource type of a label: what the user gave, else :data:`RESOURCES`, else nothing.

    >>> resource_type("Side_Effects", {}), resource_type("Dose", {})
    ('Condition', '')
    """
    if label in given:
        return given[label]
    plain = re.sub(r"[^a-z]", "", label.casefold())
    known = {word: kind for kind, words in RESOURCES.items() for word in words}
    return known.get(plain, known.get(plain.removesuffix("s"), ""))


def checked_types(given: Mapping[str, str]) -> Mapping[str, str]:
    """The user's map of labels; :class:`InputError` for a resource type that is not written."""
    for label, kind in given.items():
        if kind and kind not in RESOURCES:
            raise InputError(
                f"the label {label!r} is to become {kind!r}",
                allowed=f"{', '.join(RESOURCES)}, or nothing to leave it out",
            )
    return given


def address(*names: str | int) -> str:
    """The URN of what these names name; the same names give the same URN."""
    return f"urn:uuid:{uuid5(NAMESPACE_URL, 'clinprompt:' + repr(names))}"


def source_of(document: Document, *, embed: bool) -> Resource:
    """The DocumentReference of a note: its id, patient, hash, and its text when ``embed``."""
    content = document.text.encode("utf-8")
    attachment: dict[str, Any] = {
        "contentType": "text/plain; charset=utf-8",
        "size": len(content),
        # FHIR R4 names SHA-1 for attachments; it serves to recognise the text, not to protect it.
        "hash": base64.b64encode(hashlib.sha1(content, usedforsecurity=False).digest()).decode(),
    }
    if embed and content:
        attachment["data"] = base64.b64encode(content).decode()
    return {
        "resourceType": "DocumentReference",
        "identifier": [{"value": document.id}],
        "status": "current",
        "subject": _patient(document),
        "content": [{"attachment": attachment}],
    }


def mention_of(
    document: Document,
    span: Span,
    kind: str,
    *,
    source: str,
    offsets: Offsets,
    systems: Mapping[str, str],
    lost: Counter[str],
) -> Resource | None:
    """The resource of a mention of the type ``kind``, coded by ``systems``; ``None`` (counted in ``lost``) where it
    would state what the note does not: hypothetical mentions, what is still to come (but planned procedures and
    intended medication), and what other persons do not have.
    """
    said, words = assertion_of(span.attributes), " ".join(span.surface(document.text).split())
    person = said.person or ("family member" if kind == "FamilyMemberHistory" else "")
    ahead = said.future and (person or kind not in ("MedicationStatement", "Procedure"))
    reasons = {
        "hypothetical": said.hypothetical, "future": ahead, "blank": not words,
        "negated of other persons": person and said.negated,
    }  # fmt: skip
    if left_out := next((reason for reason, holds in reasons.items() if holds), ""):
        lost[left_out] += 1
        return None
    lost["attributes"] += len(span.attributes) - len(said.read) - told(span)
    coding = codings(span, systems, lost)
    code = {"coding": coding, "text": words} if coding else {"text": words}
    if person:
        made = _family(code, person)
    elif kind == "Condition":
        made = _condition(code, said)
    elif kind == "AllergyIntolerance":
        made = _allergy(code, said)
    else:
        made = {"MedicationStatement": _medication, "Procedure": _procedure, "Observation": _observation}[kind](
            code, said
        )
    if person or kind not in ("Condition", "AllergyIntolerance"):
        lost["uncertainty"] += said.possible
    owner = "patient" if made["resourceType"] in ("AllergyIntolerance", "FamilyMemberHistory") else "subject"
    return {
        "resourceType": made.pop("resourceType"),
        "extension": [_evidence(start, end, source=source, offsets=offsets) for start, end in span.fragments],
        owner: _patient(document),
        **made,
    }


def provenance_of(targets: Sequence[str], sources: Sequence[str], prompts: Sequence[Mapping[str, Any]], *,
                  agent: str, recorded: str) -> Resource:  # fmt: skip
    """The Provenance of a run: what it made, of which notes, with which prompts."""
    entities: list[Resource] = [{"role": "source", "what": {"reference": source}} for source in sources]
    for prompt in prompts:
        what: Resource = {"display": f"soft prompt {prompt.get('task', '')} {prompt.get('version', '')}".strip()}
        if prompt.get("sha256"):
            what["identifier"] = {"system": "urn:ietf:rfc:6920", "value": f"ni:///sha-256;{prompt['sha256']}"}
        entities.append({"role": "derivation", "what": what})
    return {
        "resourceType": "Provenance",
        "target": [{"reference": target} for target in targets],
        "recorded": recorded,
        "activity": {"text": "information extraction from notes by a language model"},
        "agent": [{"who": {"display": agent}}],
        "entity": entities,
    }


def _condition(code: Resource, said: Assertion) -> Resource:
    status = "refuted" if said.negated else "provisional" if said.possible else "unconfirmed"
    made = {"resourceType": "Condition", "verificationStatus": _coded("condition-ver-status", status), "code": code}
    if said.past and not said.negated:
        made["clinicalStatus"] = _coded("condition-clinical", "inactive")
    return made


def _allergy(code: Resource, said: Assertion) -> Resource:
    active = not (said.negated or said.past)
    return {
        "resourceType": "AllergyIntolerance",
        "clinicalStatus": _coded("allergyintolerance-clinical", "active" if active else "inactive"),
        "verificationStatus": _coded("allergyintolerance-verification", "refuted" if said.negated else "unconfirmed"),
        "code": code,
    }


def _medication(code: Resource, said: Assertion) -> Resource:
    status = "not-taken" if said.negated else "completed" if said.past else "intended" if said.future else "unknown"
    return {"resourceType": "MedicationStatement", "status": status, "medicationCodeableConcept": code}


def _procedure(code: Resource, said: Assertion) -> Resource:
    status = "not-done" if said.negated else "completed" if said.past else "preparation" if said.future else "unknown"
    return {"resourceType": "Procedure", "status": status, "code": code}


def _observation(code: Resource, said: Assertion) -> Resource:
    made = {"resourceType": "Observation", "status": "preliminary", "code": code}
    return {**made, "valueBoolean": False} if said.negated else made


def _family(code: Resource, person: str) -> Resource:
    return {
        "resourceType": "FamilyMemberHistory",
        "status": "partial",
        "relationship": {"text": person},
        "condition": [{"code": code}],
    }


def _evidence(start: int, end: int, *, source: str, offsets: Offsets) -> Resource:
    begins = offsets.written(start)
    parts = [
        {"url": "reference", "valueReference": {"reference": source}},
        {"url": "offset", "valueInteger": begins},
        {"url": "length", "valueInteger": offsets.written(end) - begins},
    ]
    return {"url": EVIDENCE, "extension": parts}


def _coded(system: str, code: str) -> Resource:
    return {"coding": [{"system": _TERMS + system, "code": code}]}


def _patient(document: Document) -> Resource:
    return {"type": "Patient", "identifier": {"value": document.group}}
