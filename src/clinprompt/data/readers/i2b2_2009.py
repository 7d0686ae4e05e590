"""i2b2 2009 medication challenge: drugs with dose, route, frequency, duration and reason by line and token."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from itertools import pairwise
from pathlib import Path

from clinprompt.data.differing import checked, counted, refuse
from clinprompt.data.faults import Faults
from clinprompt.data.files import numbered_lines, read_text
from clinprompt.data.line_tokens import LineTokens
from clinprompt.data.naming import group_name
from clinprompt.errors import InputError
from clinprompt.schema.document import Document, Fragment, Relation, Span

LABELS = {
    "m": "medication",
    "do": "dosage",
    "mo": "mode",
    "f": "frequency",
    "du": "duration",
    "r": "reason",
}
SAID = {"e": "event", "t": "temporal", "c": "certainty", "ln": "list or narrative"}
"""Fields that say something of the medication and have no place in the text."""
SUFFIXES = (".entries", ".m")
_FIELD = re.compile(r'\|?\s*([a-z]+)="(.*)"((?:[ ,]*[0-9]+:[0-9]+ [0-9]+:[0-9]+)*)\s*')
_PAIR = re.compile(r"([0-9]+:[0-9]+) ([0-9]+:[0-9]+)")
_NOT_MENTIONED = "nm"


def read(path: Path | None, *, texts: str = "", group: str = "", differing: str = "refuse") -> list[Document]:
    """One :class:`Document` per annotation file (``.entries`` or ``.m``) in the folder ``path`` and below.

    ``379569_gold.entries``, ``379569.i2b2.entries`` and ``379569.m`` go with the text ``379569`` or
    ``379569.txt`` below ``path``, or below ``texts``, a folder relative to ``path``. A line is one medication;
    its other fields are spans of their own, related to it by their label (``dosage``). Parts divided by ``,`` or
    a blank make a discontinuous span; a mention in several lines is one span. What has no place in the text
    (event, temporal, certainty, list or narrative) are attributes of the medication, joined by ``;`` where lines
    differ. ``group`` is a regular expression that finds the patient in the name.

    The tokens of these texts may end in a full stop that is no part of the mention: the span is then narrowed
    to the mention. Other mentions whose words differ are refused, or with ``differing: leave out`` counted in
    the metadata. Raises one :class:`InputError` that lists all lines that cannot be read.
    """
    checked(differing)
    if path is None or not Path(path).is_dir():
        raise InputError("the reader 'i2b2_2009' needs the folder that the files lie in", where=str(path or ""))
    found = sorted(file for file in Path(path).rglob("*") if file.is_file())
    places = sorted(file for file in (Path(path) / texts).rglob("*") if file.is_file()) if texts else found
    sources = {file.stem: file for file in places if file.suffix.lower() in ("", ".txt")}
    annotated = [file for file in found if file.suffix.lower() in SUFFIXES]
    if not annotated:
        raise InputError("the folder holds no annotation", where=str(path), allowed=", ".join(SUFFIXES))
    faults, documents = Faults(), {}
    for file in annotated:
        with faults.gathered():
            name = re.split(r"[._]", file.name)[0]
            if name in documents:
                raise InputError("the note has two annotation files", where=str(file), fix="read one folder")
            if name not in sources:
                raise InputError("there is no text of this name", where=str(file), fix="set the option texts")
            note = _Note(LineTokens(read_text(sources[name])), differing=differing)
            documents[name] = note.document(file, name=name, group=group_name(name, group))
    faults.raise_all()
    return list(documents.values())


@dataclass
class _Note:
    """One note while its entries are read."""

    tokens: LineTokens
    differing: str
    spans: dict[tuple[str, tuple[Fragment, ...]], Span] = field(default_factory=dict)
    links: dict[tuple[str, str, str], Relation] = field(default_factory=dict)
    left_out: int = 0

    def document(self, file: Path, *, name: str, group: str) -> Document:
        """The whole note; :class:`InputError` that lists all lines that cannot be read."""
        faults = Faults()
        for number, line in numbered_lines(file):
            with faults.gathered():
                if line.strip():
                    self._entry(line.strip(), where=f"{file} line {number}")
        faults.raise_all()
        return Document(
            id=name,
            text=self.tokens.text,
            spans=tuple(self.spans.values()),
            relations=tuple(self.links.values()),
            group=group,
            metadata=counted(self.left_out),
        )

    def _entry(self, line: str, *, where: str) -> None:
        fields = [_FIELD.fullmatch(part) for part in line.split("||")]
        keys = [part[1] for part in fields if part]
        if None in fields or len(set(keys)) != len(keys) or not {"m"} <= set(keys) <= {*LABELS, *SAID}:
            raise InputError(
                "the line does not have the form of an entry", where=where, allowed='m="…" 15:0 15:0||do="…" 15:1 15:2'
            )
        read = {part[1]: (part[2], part[3]) for part in fields if part}
        ids = {key: self._mention(key, *read[key], where=where) for key in LABELS if key in read}
        drug = ids["m"]
        if not drug:
            return
        span_key = next(key for key, span in self.spans.items() if span.id == drug)
        self.spans[span_key] = _with(self.spans[span_key], {SAID[key]: read[key][0] for key in SAID if key in read})
        for key, detail in ids.items():
            if detail and key != "m":
                link = Relation(label=LABELS[key], head=detail, tail=drug, id=f"R{len(self.links) + 1}")
                self.links.setdefault((link.label, link.head, link.tail), link)

    def _mention(self, key: str, words: str, offsets: str, *, where: str) -> str:
        """The id of the field's span, empty when it is not mentioned or left out."""
        pairs = _PAIR.findall(offsets)
        if not pairs:
            if words == _NOT_MENTIONED and key != "m":
                return ""
            raise InputError(f"the field {key} has no place", where=where, allowed='"nm" without a place')
        parts = words.split("...") if len(pairs) > 1 else [words]
        fragments: list[Fragment] = []
        for number, (first, last) in enumerate(pairs):
            place = None
            if len(parts) == len(pairs):
                place = self.tokens.fragment_of(parts[number], first, last, where=where)
            if place is None:
                refuse(f"{first} {last}", differing=self.differing, where=where)
                self.left_out += 1
                return ""
            fragments.append(place)
        fragments.sort()
        if any(after[0] < before[1] for before, after in pairwise(fragments)):
            raise InputError(f"the parts of the field {key} overlap", where=where)
        span = Span(label=LABELS[key], fragments=tuple(fragments), id=f"T{len(self.spans) + 1}")
        return self.spans.setdefault(span.key, span).id


def _with(span: Span, said: dict[str, str]) -> Span:
    """The span with what another line says of it."""
    held = dict(span.attributes)
    for key, value in said.items():
        values = held[key].split(";") if key in held else []
        if value not in values and value != _NOT_MENTIONED:
            held[key] = ";".join([*values, value])
    return replace(span, attributes=held)
