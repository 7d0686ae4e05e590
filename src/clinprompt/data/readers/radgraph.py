"""RadGraph (PhysioNet): radiology reports with findings, anatomy and the relations between them, as JSON."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from clinprompt.data.faults import Faults
from clinprompt.data.files import files_below, parse_json, read_text
from clinprompt.errors import InputError
from clinprompt.schema.document import Document, Relation, Span

PATIENT = r"p(?:atient)?[0-9]{5,}"
"""How reports of MIMIC-CXR and CheXpert name the patient."""


def read(path: Path | None, *, labeler: str = "", group: str = PATIENT) -> list[Document]:
    """One :class:`Document` per report of a file, or of the files of a folder.

    A file maps the name of a report to its ``text``, words with blanks between them, and its ``entities``: each has a
    ``label`` (ANAT-DP, OBS-DP, OBS-DA, OBS-DU), the numbers of its first and last word (``start_ix``, ``end_ix``, both
    inclusive), its words (``tokens``) and ``relations``, pairs of a name and the entity that it goes to. ``labeler``
    (``labeler_1``, ``labeler_2``) chooses one of two radiologists where a report has both, as in the test part.
    ``group`` is the expression that finds the patient in a report's name; a report without is its own group.

    Raises one :class:`InputError` that lists all reports that cannot be read, also where an entity's words are not
    those at its place.
    """
    faults, documents = Faults(), []
    try:
        patient = re.compile(group)
    except re.error:
        raise InputError("the option group is no regular expression", where=f"group {group}") from None
    for file in files_below(path, reader="radgraph", suffixes=(".json",)):
        with faults.gathered():
            reports = parse_json(read_text(file), where=str(file))
            if not isinstance(reports, dict) or not reports:
                raise InputError("the file holds no reports by name", where=str(file))
            for name, report in reports.items():
                with faults.gathered():
                    documents.append(_document(name, report, labeler, patient, where=f"{file} report {name}"))
    faults.raise_all()
    return documents


def _document(name: str, report: Any, labeler: str, patient: re.Pattern[str], *, where: str) -> Document:
    if not isinstance(report, dict) or not isinstance(report.get("text"), str):
        raise InputError("the report has no text", where=where)
    text = report["text"]
    given = [key for key, value in report.items() if isinstance(value, dict) and "entities" in value]
    if labeler and labeler not in given and given:
        raise InputError(f"the report has no labeler {labeler!r}", where=where, allowed=", ".join(given))
    if given and not labeler:
        raise InputError("the report has several labelers", where=where, allowed=f"labeler: {', '.join(given)}")
    entities = (report[labeler] if given else report).get("entities")
    if not isinstance(entities, dict):
        raise InputError("the report has no `entities`", where=where)
    words = [match.span() for match in re.finditer(r"\S+", text)]
    spans = tuple(_span(key, entity, text, words, where=where) for key, entity in entities.items())
    found = patient.search(name)
    metadata = {key: value for key, value in report.items() if key != "text" and isinstance(value, str)}
    return Document(name, text, spans, _relations(entities, where=where), found[0] if found else name, metadata)


def _span(key: str, entity: Any, text: str, words: list[tuple[int, int]], *, where: str) -> Span:
    place = f"{where} entity {key}"
    wanted = {"label": str, "tokens": str, "start_ix": int, "end_ix": int, "relations": list}
    if not isinstance(entity, dict) or any(type(entity.get(name)) is not kind for name, kind in wanted.items()):
        raise InputError("the entity has another form", where=place, allowed=", ".join(wanted))
    first, last = entity["start_ix"], entity["end_ix"]
    if not 0 <= first <= last < len(words):
        allowed = f"0 to {len(words) - 1}, in order"
        raise InputError(f"the entity goes from word {first} to word {last}", where=place, allowed=allowed)
    start, end = words[first][0], words[last][1]
    if text[start:end].split() != entity["tokens"].split():
        raise InputError(f"the words {first} to {last} are not those of the entity", where=place)
    return Span(entity["label"], ((start, end),), key)


def _relations(entities: dict[str, Any], *, where: str) -> tuple[Relation, ...]:
    found: list[Relation] = []
    for key, entity in entities.items():
        for pair in entity["relations"]:
            if not isinstance(pair, list) or len(pair) != 2 or not all(isinstance(part, str) for part in pair):
                raise InputError("a relation has another form", where=f"{where} entity {key}", allowed="name, entity")
            found.append(Relation(pair[0], key, pair[1], f"R{len(found) + 1}"))
    return tuple(found)
