"""i2b2 2012: discharge summaries with clinical events, times and temporal relations in one XML file each."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from xml.sax.saxutils import unescape

from clinprompt.data.differing import checked, counted, refuse
from clinprompt.data.faults import Faults
from clinprompt.data.files import files_below, read_text
from clinprompt.data.naming import group_name, note_name
from clinprompt.errors import InputError
from clinprompt.schema.document import Document, Relation, Span

ROOT = "ClinicalNarrativeTemporalAnnotation"
_TEXT = re.compile(r"<TEXT>(?:<!\[CDATA\[(.*?)\]\]>|([^<]*))</TEXT>", re.DOTALL)
# Not an XML parser: some of the published files have bare & and < in attribute values.
_TAG = re.compile(r"<(EVENT|TIMEX3|SECTIME|TLINK)\s+(.*?)\s*/>(?=\s*<)", re.DOTALL)
_VALUE = re.compile(r'(\w+)="(.*?)"(?=\s+\w+="|\s*\Z)', re.DOTALL)
_MENTION = ("id", "start", "end", "text", "type")


def read(path: Path | None, *, group: str = "", differing: str = "refuse") -> list[Document]:
    """One :class:`Document` per ``.xml`` file of the path or of the files of a folder.

    The label of an event is its type (PROBLEM, TEST, TREATMENT, CLINICAL_DEPT, EVIDENTIAL, OCCURRENCE), that of a
    time its type (DATE, TIME, DURATION, FREQUENCY), that of a section time ``SECTIME``; the other values
    (modality, polarity, val, mod) are attributes, with the kind of tag as ``tag``. Temporal links become
    relations labelled by their type. Offsets count characters of the text in the file, from 0 or from 1 (files
    of both kinds exist): they are taken as the one under which all mentions are the text. ``group`` is a
    regular expression that finds the patient in the name of the file.

    Mentions whose words differ from the text (blanks aside) are refused, or with ``differing: leave out``
    counted in the metadata, as are then the links to them. Raises one :class:`InputError` that lists all tags
    that cannot be read.
    """
    checked(differing)
    faults, documents = Faults(), []
    for file in files_below(path, reader="i2b2_2012", suffixes=(".xml",)):
        with faults.gathered():
            name = note_name(file, Path(path))  # type: ignore[arg-type]
            documents.append(_document(file, name=name, group=group_name(name, group), differing=differing))
    faults.raise_all()
    return documents


def _document(file: Path, *, name: str, group: str, differing: str) -> Document:
    content = read_text(file)
    found = _TEXT.search(content)
    if found is None or f"</{ROOT}>" not in content:
        raise InputError(f"the file is no whole <{ROOT}> with a <TEXT>", where=str(file))
    text = found[1] if found[1] is not None else _plain(found[2])
    faults, mentions, links = Faults(), [], []
    for tag in _TAG.finditer(content, found.end()):
        with faults.gathered():
            where = f"{file} line {content.count(chr(10), 0, tag.start()) + 1}"
            values = {match[1]: _plain(match[2]) for match in _VALUE.finditer(tag[2])}
            needed = ("id", "fromID", "toID", "type") if tag[1] == "TLINK" else _MENTION
            if any(not values.get(key) for key in needed):
                raise InputError(f"the <{tag[1]}> misses a value", where=where, allowed=", ".join(needed))
            (links if tag[1] == "TLINK" else mentions).append((tag[1], values, where))
    written = len(re.findall(r"<(?:EVENT|TIMEX3|SECTIME|TLINK)\s", content[found.end() :]))
    if written != len(mentions) + len(links) + len(faults.found):
        faults.found.append(InputError("a tag is not closed with />", where=str(file)))
    faults.raise_all()
    base = _base(text, mentions)
    spans, left_out = {}, set()
    for kind, values, where in mentions:
        with faults.gathered():
            span = _span(kind, values, text, base=base, differing=differing, where=where)
            if values["id"] in spans or values["id"] in left_out:
                raise InputError(f"the id {values['id']} is there twice", where=where)
            if span is None:
                left_out.add(values["id"])
            else:
                spans[values["id"]] = span
    relations = []
    for _, values, where in links:
        with faults.gathered():
            ends = (values["fromID"], values["toID"])
            if not set(ends) <= spans.keys() | left_out:
                raise InputError(f"the link {values['id']} points to something that is not there", where=where)
            if not left_out.intersection(ends):
                relations.append(Relation(label=values["type"], head=ends[0], tail=ends[1], id=values["id"]))
    faults.raise_all()
    return Document(
        id=name,
        text=text,
        spans=tuple(spans.values()),
        relations=tuple(relations),
        group=group,
        metadata=counted(len(left_out)),
    )


def _base(text: str, mentions: list[tuple[str, Mapping[str, str], str]]) -> int:
    """0 or 1: what offsets count from, by the number of mentions that are then the text (0 when equal)."""

    def fitting(base: int) -> int:
        return sum(_covered(values, text, base=base) is not None for _, values, _ in mentions)

    return int(fitting(1) > fitting(0))


def _covered(values: Mapping[str, str], text: str, *, base: int) -> tuple[int, int] | None:
    """The place of a mention, ``None`` when its words are not there."""
    if not values["start"].isdigit() or not values["end"].isdigit():
        return None
    start, end = int(values["start"]) - base, int(values["end"]) - base
    if not 0 <= start < end <= len(text) or text[start:end].split() != values["text"].split():
        return None
    return start, end


def _span(
    kind: str, values: Mapping[str, str], text: str, *, base: int, differing: str, where: str
) -> Span | None:  # fmt: skip
    place = _covered(values, text, base=base)
    if place is None:
        refuse(f"{values['start']}-{values['end']}", differing=differing, where=where)
        return None
    rest = {key: value for key, value in values.items() if key not in _MENTION and value}
    label = values["type"] if kind != "SECTIME" else kind
    if kind == "SECTIME":
        rest["type"] = values["type"]
    return Span(label=label, fragments=(place,), id=values["id"], attributes={"tag": kind, **rest})


def _plain(value: str) -> str:
    return unescape(value, {"&quot;": '"', "&apos;": "'"})
