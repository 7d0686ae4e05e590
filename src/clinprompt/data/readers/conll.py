"""CoNLL columns: one token a line with a BIO (IOB1, IOB2, BIOES, BILOU) tag, a blank line between
sentences.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from clinprompt.data.faults import Faults
from clinprompt.data.files import files_below, numbered_lines
from clinprompt.data.naming import note_name
from clinprompt.data.tags import chunks, is_tag
from clinprompt.errors import InputError
from clinprompt.schema.document import Document, Span

SEPARATORS = {"tab": "\t", "space": " ", "blank": None}
SUFFIXES = (".conll", ".tsv", ".txt", ".bio", ".iob", ".iob2")
_COMMENT = re.compile(r"#\s*([\w ]*?)\s*=\s*(.*)")
_DOCUMENT_KEYS = {"newdoc id", "doc_id", "doc id", "document_id", "document id"}


@dataclass
class _Sentence:
    document: str
    tokens: list[str] = field(default_factory=list)
    tags: list[str] = field(default_factory=list)
    places: list[tuple[int, int]] = field(default_factory=list)


def read(
    path: Path | None,
    *,
    separator: str = "tab",
    token: int = 0,
    tag: int = -1,
    start: int | None = None,
    end: int | None = None,
    unit: str = "sentence",
) -> list[Document]:
    """One :class:`Document` per sentence or per document (``unit``) of a file or of the files of a folder.

    ``separator`` is ``tab``, ``space`` or ``blank`` (any run of blanks); ``token``, ``tag``, ``start`` and
    ``end`` number columns from 0 (negative from the end). The format does not keep the blanks of the text:
    tokens are joined by one space, or stand at their character offsets where ``start`` and ``end`` columns
    are named. Sentences of one document are joined by a newline. A document begins at a ``-DOCSTART-`` line
    or at a ``# doc_id = …`` or ``# newdoc id = …`` comment; it is the group of its sentences. Without such
    a line each sentence is its own group, and the whole file is one document.

    Raises one :class:`InputError` that lists all lines with a missing column or a tag that is not ``O`` or
    ``B-label``.
    """
    _check(separator=separator, unit=unit, start=start, end=end)
    documents, faults = [], Faults()
    for file in files_below(path, reader="conll", suffixes=SUFFIXES):
        sentences = []
        columns = (token, tag) if start is None or end is None else (token, tag, start, end)
        name = note_name(file, Path(path))  # type: ignore[arg-type]
        with faults.gathered():
            sentences = list(_sentences(file, separator=SEPARATORS[separator], columns=columns))
            documents += _documents(sentences, name=name, unit=unit, where=str(file))
    faults.raise_all()
    return documents


def _check(*, separator: str, unit: str, start: int | None, end: int | None) -> None:
    if separator not in SEPARATORS:
        raise InputError(f"the option separator has the value {separator!r}", allowed=", ".join(SEPARATORS))
    if unit not in ("sentence", "document"):
        raise InputError(f"the option unit has the value {unit!r}", allowed="sentence, document")
    if (start is None) != (end is None):
        raise InputError("only one of the options start and end is given", fix="name both columns or none")


def _sentences(file: Path, *, separator: str | None, columns: tuple[int, ...]) -> Iterator[_Sentence]:
    faults, sentence, markers = Faults(), _Sentence(document=""), 0
    for number, line in numbered_lines(file):
        comment = _COMMENT.fullmatch(line)
        marker = line.startswith("-DOCSTART-")
        if marker or comment or not line.strip():
            if sentence.tokens:
                yield sentence
            markers += marker
            document = sentence.document
            if marker:
                document = str(markers)
            elif comment and comment[1] in _DOCUMENT_KEYS:
                document = comment[2]
            sentence = _Sentence(document=document)
            continue
        with faults.gathered():
            _add(sentence, line.split(separator), columns=columns, where=f"{file} line {number}")
    faults.raise_all()
    if sentence.tokens:
        yield sentence


def _add(sentence: _Sentence, cells: list[str], *, columns: tuple[int, ...], where: str) -> None:
    needed = max(column + 1 if column >= 0 else -column for column in columns)
    if len(cells) < max(needed, len(set(columns))):
        raise InputError(
            f"the line has {len(cells)} columns, {max(needed, len(set(columns)))} are needed",
            where=where,
            fix="check the options separator, token and tag",
        )
    word, label, *place = (cells[column] for column in columns)
    if not word.strip():
        raise InputError("the token is empty", where=where)
    if not is_tag(label):
        raise InputError("the tag column holds no tag", where=where, allowed="O, B-label, I-label, E-, S-, L-, U-label")
    sentence.tokens.append(word)
    sentence.tags.append(label)
    if place:
        if not all(cell.isascii() and cell.isdigit() for cell in place) or int(place[1]) - int(place[0]) != len(word):
            raise InputError("the offset columns do not hold the token's start and end", where=where)
        sentence.places.append((int(place[0]), int(place[1])))


def _documents(sentences: list[_Sentence], *, name: str, unit: str, where: str) -> list[Document]:
    if unit == "sentence":
        return [
            _assembled(
                [sentence],
                name=f"{name}-{number}",
                group=f"{name}:{sentence.document}" if sentence.document else "",
                where=where,
            )
            for number, sentence in enumerate(sentences, 1)
        ]
    by_document: dict[str, list[_Sentence]] = {}
    for sentence in sentences:
        by_document.setdefault(sentence.document, []).append(sentence)
    return [
        _assembled(members, name=f"{name}:{document}" if document else name, group="", where=where)
        for document, members in by_document.items()
    ]


def _assembled(sentences: list[_Sentence], *, name: str, group: str, where: str) -> Document:
    text, spans = "", []
    base = sentences[0].places[0][0] if sentences[0].places else 0
    for sentence in sentences:
        text += "\n" if text and not sentence.places else ""
        placed = []
        for place, word in enumerate(sentence.tokens):
            if sentence.places:
                start = sentence.places[place][0] - base
                if start < len(text):
                    raise InputError(f"the offsets of {name} overlap or go back", where=where)
                text += " " * (start - len(text))
            elif place:
                text += " "
            placed.append((len(text), len(text) + len(word)))
            text += word
        for label, first, last in chunks(sentence.tags):
            spans.append(Span(label=label, fragments=((placed[first][0], placed[last][1]),), id=f"T{len(spans) + 1}"))
    return Document(id=name, text=text, spans=tuple(spans), group=group)
