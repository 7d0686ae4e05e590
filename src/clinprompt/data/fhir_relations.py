"""Relations of a document in its FHIR resources: why something is given or done, and how a medicine is taken."""

from __future__ import annotations

import re
from collections.abc import Mapping

from clinprompt.data.fhir_resources import Resource
from clinprompt.schema.document import Document, Span

DOSAGE = frozenset(
    ("dose", "dosage", "strength", "frequency", "route", "mode", "form", "duration", "administration", "schedule")
)
"""Labels (letters only, singular) of mentions that tell how the medicine they are joined to is taken."""
REASON = re.compile(r"reason|indication|treatmentfor|givenfor|prescribedfor|^(treat|trap|trip|trwp)$")
"""Labels (letters only, singular) of relations that name a reason; the last are i2b2 2010's treatments of a problem."""
Made = Mapping[str, tuple[str, Resource]]
"""Address and resource by the id of the span that they were made from."""


def put_relations(document: Document, made: Made) -> tuple[int, frozenset[str]]:
    """Add ``reasonReference`` and ``dosage`` to the resources, whichever end of a relation they stand at.

    A reason is a Condition or Observation that is not denied. Returns how many relations have no place, and the ids of
    the spans that became part of a dosage.
    """
    spans = {span.id: span for span in document.spans}
    taken: dict[str, list[Span]] = {}
    lost = 0
    for relation in document.relations:
        for one, other in ((relation.head, relation.tail), (relation.tail, relation.head)):
            if one not in made:
                continue
            resource = made[one][1]
            if resource["resourceType"] == "MedicationStatement" and _plain(spans[other].label) in DOSAGE:
                taken.setdefault(one, []).append(spans[other])
                break
            if other in made and REASON.search(_plain(relation.label)) and _explains(made[other][1], resource):
                reasons = resource.setdefault("reasonReference", [])
                reference = {"reference": made[other][0]}
                if reference not in reasons:
                    reasons.append(reference)
                break
        else:
            lost += 1
    for name, found in taken.items():
        words = [span.surface(document.text) for span in sorted(set(found), key=lambda span: (span.start, span.key))]
        made[name][1]["dosage"] = [{"text": " ".join(" ".join(words).split())}]
    return lost, frozenset(span.id for found in taken.values() for span in found)


def _explains(reason: Resource, resource: Resource) -> bool:
    denied = reason.get("verificationStatus", {}).get("coding", [{}])[0].get("code") == "refuted"
    return (
        resource["resourceType"] in ("MedicationStatement", "Procedure")
        and reason["resourceType"] in ("Condition", "Observation")
        and not denied
        and "valueBoolean" not in reason
    )


def _plain(label: str) -> str:
    return re.sub(r"[^a-z]", "", label.casefold()).removesuffix("s")
