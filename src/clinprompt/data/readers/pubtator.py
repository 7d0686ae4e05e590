"""PubTator: title, abstract, mentions with concept ids, and relations between concept ids."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from clinprompt.data.faults import Faults
from clinprompt.data.files import files_below, numbered_lines
from clinprompt.errors import InputError
from clinprompt.schema.concepts import CONCEPT, PLACINGS, ConceptRelation, between_mentions, stated
from clinprompt.schema.document import Document, Span

SUFFIXES = (".pubtator", ".txt")
_TEXT = re.compile(r"([^|\t]+)\|([ta])\|(.*)")
_OFFSET = re.compile(r"[0-9]{1,9}")
_NO_CONCEPT = ("", "-", "-1")


def read(path: Path | None, *, concepts: str = "single", directed: bool = True) -> list[Document]:
    """One :class:`Document` per block of a file or of the files of a folder: title, one space, abstract.

    The concept id of a mention is its attribute ``concept`` (composite ids such as ``D1|D2`` as they are, see
    :func:`clinprompt.schema.concepts.concepts`; ``-1`` and ``-`` mean none), a seventh column its attribute
    ``composite``. Relations are stated between concept ids: all of them are kept in the metadata as ``concept
    relations`` (JSON lists of label, head, tail, remark), and those that ``concepts`` places become relations
    between mentions: ``single``, where each concept has one mention, or ``nearest``, where the two nearest
    mentions are taken. With ``directed`` false (BioRED) the first mention in the text is the head. A document
    that comes twice gets ``#2`` after its id and stays in one group.

    Raises one :class:`InputError` that lists all lines that cannot be read, mentions that differ from the text
    among them (blanks at their ends are not compared).
    """
    if concepts not in PLACINGS:
        raise InputError(f"the option concepts has the value {concepts!r}", allowed=", ".join(PLACINGS))
    faults, documents = Faults(), []
    seen: Counter[str] = Counter()
    for file in files_below(path, reader="pubtator", suffixes=SUFFIXES):
        with faults.gathered():
            for block in _blocks(file):
                with faults.gathered():
                    documents.append(_document(block, file, concepts=concepts, directed=directed, seen=seen))
    faults.raise_all()
    return documents


def _blocks(file: Path) -> Iterator[list[tuple[int, str]]]:
    block: list[tuple[int, str]] = []
    for number, line in numbered_lines(file):
        if line.strip():
            block.append((number, line))
        elif block:
            yield block
            block = []
    if block:
        yield block


def _document(
    block: list[tuple[int, str]], file: Path, *, concepts: str, directed: bool, seen: Counter[str]
) -> Document:
    where = f"{file} line {block[0][0]}"
    parts = [_TEXT.fullmatch(line) for _, line in block[:2]]
    title, abstract = parts if len(parts) == 2 else (None, None)
    if title is None or abstract is None or (title[2], abstract[2]) != ("t", "a") or title[1] != abstract[1]:
        raise InputError(
            "the block does not begin with a title and an abstract", where=where, allowed="ID|t|title, then ID|a|text"
        )
    name, text = title[1], f"{title[3]} {abstract[3]}"
    spans: list[Span] = []
    relations: list[ConceptRelation] = []
    faults = Faults()
    for number, line in block[2:]:
        with faults.gathered():
            place = f"{file} line {number}"
            cells = line.split("\t")
            if cells[0] != name:
                raise InputError("the line belongs to another document", where=place, fix="divide blocks by a line")
            if len(cells) >= 5 and _OFFSET.fullmatch(cells[1]) and _OFFSET.fullmatch(cells[2]):
                spans.append(_span(cells, text, name=f"T{len(spans) + 1}", where=place))
            elif 4 <= len(cells) <= 5 and all(cell.strip() for cell in cells[:4]):
                relations.append(ConceptRelation(*(cell.strip() for cell in cells[1:])))
            else:
                raise InputError(
                    f"the line has {len(cells)} columns of another form",
                    where=place,
                    allowed="id, start, end, words, type, concept; or id, relation, concept, concept",
                )
    faults.raise_all()
    seen[name] += 1
    return Document(
        id=name if seen[name] == 1 else f"{name}#{seen[name]}",
        text=text,
        spans=tuple(spans),
        relations=tuple(between_mentions(relations, spans, placing=concepts, directed=directed)),
        group=name,
        metadata=stated(relations),
    )


def _span(cells: list[str], text: str, *, name: str, where: str) -> Span:
    start, end = int(cells[1]), int(cells[2])
    if not start < end <= len(text) or text[start:end].strip() != cells[3].strip():
        raise InputError(
            f"the words of the mention are not the text at {start}-{end}",
            where=where,
            fix="check that offsets count the characters of title, one space and abstract",
        )
    if not cells[4].strip():
        raise InputError("the mention has no type", where=where)
    concept = cells[5].strip() if len(cells) > 5 else ""
    attributes = {} if concept in _NO_CONCEPT else {CONCEPT: concept}
    if len(cells) > 6 and cells[6].strip():
        attributes["composite"] = cells[6].strip()
    return Span(label=cells[4].strip(), fragments=((start, end),), id=name, attributes=attributes)
