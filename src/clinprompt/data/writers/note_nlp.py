"""OMOP's NOTE_NLP table (Common Data Model 5.4): a row per mention."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from clinprompt.data.answered import made_by
from clinprompt.data.assertion import assertion_of
from clinprompt.data.atomic import new_file
from clinprompt.data.faults import Faults
from clinprompt.data.tables import write_rows
from clinprompt.errors import InputError
from clinprompt.schema.document import Document, Span

COLUMNS = (
    "note_nlp_id", "note_id", "section_concept_id", "snippet", "offset", "lexical_variant", "note_nlp_concept_id",
    "note_nlp_source_concept_id", "nlp_system", "nlp_date", "nlp_datetime", "term_exists", "term_temporal",
    "term_modifiers",
)  # fmt: skip
NUMBERS = ("note_nlp_id", "note_id", "section_concept_id", "note_nlp_concept_id", "note_nlp_source_concept_id")
SHORT, LONG = 250, 2000
"""The longest snippet, lexical variant and system, and the longest term_modifiers, in characters."""
CONTEXT = 60
Row = dict[str, Any]


def write(
    documents: Iterable[Document],
    path: Path,
    *,
    overwrite: bool = False,
    provenance: Mapping[str, Any] | None = None,
    concepts: Mapping[str, int] | None = None,
    first_id: int = 1,
    offset_end: bool = False,
    date: str = "",
) -> dict[str, int]:
    """Write a ``.csv`` or ``.parquet`` file and return what the table cannot hold, counted.

    Ids of documents must be the numbers of NOTE. ``concepts`` maps labels to concept ids (0 without),
    ``first_id`` is the first note_nlp_id. ``offset`` is the first code point; ``offset_end`` makes it
    ``start-end``, of which the model knows nothing. ``date`` (ISO 8601) is when the notes were read, now if
    empty. ``term_exists`` is N for negated and hypothetical mentions and for those of other persons, as the
    model says; ``term_modifiers`` holds the label and all attributes as ``key=value;``, sorted. Relations,
    groups, metadata, ids of spans, places of later fragments, and the ends of long words are lost.

    Raises :class:`InputError` for document ids that are no numbers, a date of another form, and when the file is
    there already.
    """
    path, lost, faults = Path(path), Counter[str](), Faults()
    if path.suffix.lower() not in (".csv", ".parquet"):
        raise InputError("the table has another form", where=str(path), allowed=".csv, .parquet")
    fixed = {"nlp_system": made_by(provenance)[:SHORT], **_when(date)}
    kinds = {name: int if name in NUMBERS else str for name in COLUMNS}

    def rows() -> Iterator[Row]:
        number = first_id
        for document in documents:
            with faults.gathered():
                for row in _rows(document, lost, concepts=concepts or {}, offset_end=offset_end):
                    yield {**row, **fixed, "note_nlp_id": number}
                    number += 1
        faults.raise_all()

    with new_file(path, overwrite=overwrite) as part:
        write_rows(rows(), kinds, part, as_csv=path.suffix.lower() == ".csv")
    return {kind: count for kind, count in sorted(lost.items()) if count}


def _rows(document: Document, lost: Counter[str], *, concepts: Mapping[str, int], offset_end: bool) -> Iterator[Row]:
    if not document.id.isascii() or not document.id.isdigit():
        raise InputError(
            "the id of the document is no note_id, which is a whole number",
            where=f"document {document.id}",
            fix="name the notes by the numbers they have in NOTE",
        )
    lost["groups"] += document.group != document.id
    lost["metadata"] += len(document.metadata)
    lost["relations"] += len(document.relations)
    for span in document.spans:
        said, surface = assertion_of(span.attributes), span.surface(document.text)
        modifiers = "".join(
            f"{_cell(key)}={_cell(value)};" for key, value in sorted([("label", span.label), *span.attributes.items()])
        )
        lost["ids"] += bool(span.id)
        lost["discontinuous"] += len(span.fragments) > 1
        lost["ends of long words"] += len(surface) > SHORT
        lost["ends of long modifiers"] += len(modifiers) > LONG
        yield {
            "note_id": int(document.id),
            "section_concept_id": 0,
            "snippet": _snippet(document.text, span),
            "offset": f"{span.start}-{span.end}" if offset_end else str(span.start),
            "lexical_variant": surface[:SHORT],
            "note_nlp_concept_id": concepts.get(span.label, 0),
            "note_nlp_source_concept_id": 0,
            "term_exists": "Y" if said.exists else "N",
            "term_temporal": "Past" if said.past else "Present" if said.current else None,
            "term_modifiers": modifiers[:LONG],
        }


def _snippet(text: str, span: Span) -> str:
    around = max(0, min(CONTEXT, (SHORT - (span.end - span.start)) // 2))
    return text[max(0, span.start - around) : span.end + around][:SHORT]


def _cell(text: str) -> str:
    return text.replace("\\", "\\\\").replace(";", "\\;").replace("=", "\\=")


def _when(date: str) -> Row:
    try:
        when = datetime.fromisoformat(date) if date else datetime.now(UTC)
    except ValueError:
        raise InputError(f"the option date has the value {date!r}", allowed="2026-01-31, 2026-01-31T08:00") from None
    return {"nlp_date": when.date().isoformat(), "nlp_datetime": when.strftime("%Y-%m-%d %H:%M:%S")}
