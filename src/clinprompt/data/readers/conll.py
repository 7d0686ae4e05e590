"""CoNLL columns: one token a line with a BIO (IOB1, IOB2, BIOES, BILOU) tag, a blank line between
sentences.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from itertools import zip_longest
from pathlib import Path

from clinprompt.data.faults import Faults
from clinprompt.data.files import files_below, numbered_lines, parse_json
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
    text: str | None = None
    tokens: list[str] = field(default_factory=list)
    tags: list[str] = field(default_factory=list)
    places: list[tuple[int, int]] = field(default_factory=list)


def read(
    path: Path | None,
    *,
    separator: str = "guess",
    token: int = 0,
    tag: int = -1,
    start: int | None = None,
    end: int | None = None,
    unit: str = "sentence",
    by_file: bool = True,
) -> list[Document]:
    """One :class:`Document` per sentence or per document (``unit``) of a file or of the files of a folder.

    ``separator`` is ``tab``, ``space``, ``blank`` (any run of blanks), or ``guess``: a tab when the first
    line with a token has one, else a space. ``token``, ``tag``, ``start`` and ``end`` number columns from
    0 (negative from the end). The format does not keep the blanks of the text: tokens are joined by one
    space, or stand at their character offsets where ``start`` and ``end`` columns are named. Sentences of
    one document are joined by a newline. A document begins at a ``-DOCSTART-`` line or at a ``# doc_id =
    …`` or ``# newdoc id = …`` comment; it is the group of its sentences. Without such a line each
    sentence is its own group, and the whole file is one document. Names begin with that of the file
    unless ``by_file`` is unset and a document has its own. A ``# text_json = "…"`` comment holds the text
    of a document with its blanks, for ``unit`` ``document`` with offset columns.

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
            mark = _guessed(file) if separator == "guess" else SEPARATORS[separator]
            sentences = list(_sentences(file, separator=mark, columns=columns))
            documents += _documents(sentences, name=name, unit=unit, by_file=by_file, where=str(file))
    faults.raise_all()
    return documents


def _check(*, separator: str, unit: str, start: int | None, end: int | None) -> None:
    if separator not in (*SEPARATORS, "guess"):
        raise InputError(f"the option separator has the value {separator!r}", allowed=", ".join((*SEPARATORS, "guess")))
    if unit not in ("sentence", "document"):
        raise InputError(f"the option unit has the value {unit!r}", allowed="sentence, document")
    if (start is None) != (end is None):
        raise InputError("only one of the options start and end is given", fix="name both columns or none")


def _guessed(file: Path) -> str:
    tokens = (line for _, line in numbered_lines(file) if line.strip() and not _is_head(line))
    return "\t" if "\t" in next(tokens, "") else " "


def _is_head(line: str) -> bool:
    return line.startswith("-DOCSTART-") or _COMMENT.fullmatch(line) is not None


def _sentences(file: Path, *, separator: str | None, columns: tuple[int, ...]) -> Iterator[_Sentence]:
    faults, sentence, markers = Faults(), _Sentence(document=""), 0
    for number, line in numbered_lines(file):
        comment = _COMMENT.fullmatch(line)
        marker = line.startswith("-DOCSTART-")
        if marker or comment or not line.strip():
            if sentence.tokens or (comment is None and sentence.text is not None):
                yield sentence
            markers += marker
            document, text = sentence.document, None if sentence.tokens or comment is None else sentence.text
            if marker:
                document = str(markers)
            elif comment and comment[1] in _DOCUMENT_KEYS:
                document = comment[2]
            elif comment and comment[1] == "text_json":
                text = parse_json(comment[2], where=f"{file} line {number}")
                if not isinstance(text, str):
                    raise InputError("text_json is no text", where=f"{file} line {number}")
            sentence = _Sentence(document=document, text=text)
            continue
        with faults.gathered():
            _add(sentence, line.split(separator), columns=columns, where=f"{file} line {number}")
    faults.raise_all()
    if sentence.tokens or sentence.text is not None:
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


def _documents(sentences: list[_Sentence], *, name: str, unit: str, by_file: bool, where: str) -> list[Document]:
    def named(document: str) -> str:
        return document if document and not by_file else f"{name}:{document}" if document else name

    if unit == "sentence":
        sentences = [replace(sentence, text=None) for sentence in sentences if sentence.tokens]
        return [
            _assembled(
                [sentence],
                name=f"{name}-{number}",
                group=named(sentence.document) if sentence.document else "",
                where=where,
            )
            for number, sentence in enumerate(sentences, 1)
        ]
    by_document: dict[str, list[_Sentence]] = {}
    for sentence in sentences:
        by_document.setdefault(sentence.document, []).append(sentence)
    return [
        _assembled(members, name=named(document), group="", where=where) for document, members in by_document.items()
    ]


def _assembled(sentences: list[_Sentence], *, name: str, group: str, where: str) -> Document:
    text, spans = "", []
    located = all(sentence.places for sentence in sentences if sentence.tokens)
    whole = next((sentence.text for sentence in sentences if sentence.text is not None and located), None)
    base = sentences[0].places[0][0] if whole is None and sentences[0].places else 0
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
    if whole is not None and any(word != " " and word != kept for word, kept in zip_longest(text, whole[: len(text)])):
        raise InputError(f"the tokens of {name} are not its text at their offsets", where=where)
    return Document(id=name, text=text if whole is None else whole, spans=tuple(spans), group=group)
