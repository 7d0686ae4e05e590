"""Concepts of mentions as FHIR codings: which terminology an id names, and the URI that FHIR knows it by."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from typing import Any

from clinprompt.data.standoff import CONCEPT_NAME
from clinprompt.errors import InputError
from clinprompt.schema.concepts import CONCEPT, concepts
from clinprompt.schema.document import Span

SYSTEMS: Mapping[str, str] = {
    "snomed": "http://snomed.info/sct",
    "snomedct": "http://snomed.info/sct",
    "rxnorm": "http://www.nlm.nih.gov/research/umls/rxnorm",
    "loinc": "http://loinc.org",
    "icd10": "http://hl7.org/fhir/sid/icd-10",
    "icd10cm": "http://hl7.org/fhir/sid/icd-10-cm",
    "icd9cm": "http://hl7.org/fhir/sid/icd-9-cm",
    "atc": "http://www.whocc.no/atc",
    "ndc": "http://hl7.org/fhir/sid/ndc",
}
"""Names of terminologies (letters and digits only) and their URIs of FHIR R4, https://hl7.org/fhir/R4/."""


def checked_systems(given: Mapping[str, str]) -> dict[str, str]:
    """:data:`SYSTEMS` with what the user adds; :class:`InputError` for what is no URI."""
    for name, uri in given.items():
        if not isinstance(uri, str) or not re.fullmatch(r"(https?://|urn:)\S+", uri):
            raise InputError(f"the terminology {name!r} has no URI", allowed="http://…, https://… or urn:…")
    return {**SYSTEMS, **{_plain(name): uri for name, uri in given.items()}}


def codings(span: Span, systems: Mapping[str, str], lost: Counter[str]) -> list[dict[str, Any]]:
    """The codings of a mention's concepts, ``TERMINOLOGY:code`` each; others are counted in ``lost``.

    >>> codings(Span("Drug", ((0, 7),), attributes={"concept": "RxNorm:1191"}), SYSTEMS, Counter())
    [{'system': 'http://www.nlm.nih.gov/research/umls/rxnorm', 'code': '1191'}]
    """
    ids = concepts(span)
    names = span.attributes[CONCEPT_NAME].split("\n") if CONCEPT_NAME in span.attributes else []
    found = []
    for place, name in enumerate(ids):
        terminology, _, code = name.partition(":")
        system = systems.get(_plain(terminology))
        # FHIR's codes have no blanks at their ends and single ones within.
        if system is None or not re.fullmatch(r"\S+( \S+)*", code):
            lost["concepts"] += 1
            continue
        shown = {"display": names[place]} if len(names) == len(ids) and names[place].strip() else {}
        found.append({"system": system, "code": code, **shown})
    return found


def told(span: Span) -> int:
    """How many attributes of a mention are its concepts, which :func:`codings` writes or counts."""
    return sum(name in span.attributes for name in (CONCEPT, CONCEPT_NAME))


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.casefold())
