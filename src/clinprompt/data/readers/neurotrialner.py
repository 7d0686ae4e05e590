"""NeuroTrialNER: trial registrations with entities, in the three forms in which the authors publish them."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from clinprompt.data.faults import Faults
from clinprompt.data.files import files_below, numbered_lines, parse_json, read_text
from clinprompt.data.tables import rows_of
from clinprompt.data.tags import chunks, is_tag
from clinprompt.errors import InputError
from clinprompt.schema.document import Document, Span, check_spans

SUFFIXES = (".json", ".csv")
SHORT = {
    "CONDITION": "COND",
    "CONTROL": "CTRL",
    "PHYSICAL": "PHYS",
    "BEHAVIOURAL": "BEH",
    "SURGICAL": "SURG",
    "RADIOTHERAPY": "RADIO",
}
"""Long names of labels in the BigBIO file; the tags have the short ones."""


def read(path: Path | None) -> list[Document]:
    """One :class:`Document` per trial of a file, named by its number (``NCT…``).

    ``data_splits/*.json`` are JSON Lines of tokens and BIO tags: the text is the tokens joined by one space,
    tokens of blanks alone left out. The ``.csv`` has the same tokens as Python literals and the text itself, in
    which they are looked up. ``bigbio/*.json`` has the text and entities by offset. The labels are those of the
    tags (``COND``) in all three.

    Raises one :class:`InputError` that lists all trials that cannot be read.
    """
    faults, documents = Faults(), []
    for file in files_below(path, reader="neurotrialner", suffixes=SUFFIXES):
        with faults.gathered():
            for record, where in _records(file):
                with faults.gathered():
                    documents.append(_document(record, where=where))
    faults.raise_all()
    return documents


def _records(file: Path) -> Iterator[tuple[Any, str]]:
    if file.suffix.lower() == ".csv":
        for number, row in rows_of(file):
            where = f"{file} line {number}"
            lists = {key: _literal(row, key, where=where) for key in ("tokens", "ner_tags")}
            yield {**row, **lists}, where
    elif read_text(file).lstrip().startswith("["):
        for number, record in enumerate(parse_json(read_text(file), where=str(file)), 1):
            yield record, f"{file} record {number}"
    else:
        for number, line in numbered_lines(file):
            if line.strip():
                yield parse_json(line, where=f"{file} line {number}"), f"{file} line {number}"


def _literal(row: Mapping[str, str], key: str, *, where: str) -> Any:
    try:
        return ast.literal_eval(row[key])
    except KeyError:
        raise InputError(f"the table has no column {key!r}", where=where) from None
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        raise InputError(f"the column {key!r} holds no Python list", where=where) from None


def _document(record: Any, *, where: str) -> Document:
    if not isinstance(record, dict):
        raise InputError("the record is no JSON object", where=where)
    name = record.get("nct_id") or record.get("nctid")
    if not isinstance(name, str):
        raise InputError("the trial has no number", where=where, allowed="nct_id or nctid")
    text = record.get("text")
    if "entities" in record:
        spans = _given(record["entities"], text, where=where)
        return Document(id=name, text=str(text), spans=spans)
    tokens, tags = record.get("tokens"), record.get("ner_tags")
    if not _is_texts(tokens) or not _is_texts(tags) or len(tokens) != len(tags):
        raise InputError("the trial has no tokens, or another number of tags", where=where)
    if not all(map(is_tag, tags)):
        raise InputError("ner_tags holds something that is no tag", where=where, allowed="O, B-label, I-label")
    pairs = [(token, tag) for token, tag in zip(tokens, tags, strict=True) if token.strip()]
    if text is None:
        text = " ".join(token for token, _ in pairs)
    places = _places([token for token, _ in pairs], text, where=where)
    spans = tuple(
        Span(label=label, fragments=((places[first][0], places[last][1]),), id=f"T{number}")
        for number, (label, first, last) in enumerate(chunks([tag for _, tag in pairs]), 1)
    )
    return Document(id=name, text=text, spans=spans)


def _places(tokens: Sequence[str], text: str, *, where: str) -> list[tuple[int, int]]:
    """Where each token stands; between two there may be blanks alone."""
    places, reached = [], 0
    for number, token in enumerate(tokens, 1):
        start = text.find(token, reached)
        if start < 0 or text[reached:start].strip():
            raise InputError(f"token {number} is not the next word of the text", where=where)
        reached = start + len(token)
        places.append((start, reached))
    if text[reached:].strip():
        raise InputError("the text goes on after the last token", where=where)
    return places


def _given(entities: Any, text: Any, *, where: str) -> tuple[Span, ...]:
    if not isinstance(text, str) or not isinstance(entities, list) or not all(isinstance(e, dict) for e in entities):
        raise InputError("the trial has no text, or no list of entities", where=where)
    spans = []
    for number, entity in enumerate(entities, 1):
        start, end, kind, words = (entity.get(key) for key in ("start", "end", "type", "text"))
        if type(start) is not int or type(end) is not int or not isinstance(kind, str):
            raise InputError(f"entity {number} has no start, end or type", where=where)
        spans.append(Span(label=SHORT.get(kind, kind), fragments=((start, end),), id=f"T{number}"))
        check_spans((spans[-1],), length=len(text), where=where)
        if text[start:end] != words:
            raise InputError(f"the words of entity {number} are not the text at {start}-{end}", where=where)
    return tuple(spans)


def _is_texts(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(item, str) for item in value)
