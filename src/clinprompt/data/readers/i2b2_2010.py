"""i2b2/VA 2010: concepts (``.con``), assertions (``.ast``) and relations (``.rel``) by line and token."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from pathlib import Path

from clinprompt.data.differing import checked, counted, refuse
from clinprompt.data.faults import Faults
from clinprompt.data.files import files_below, numbered_lines, read_text
from clinprompt.data.line_tokens import LineTokens
from clinprompt.data.naming import group_name
from clinprompt.errors import InputError
from clinprompt.schema.document import Document, Fragment, Relation, Span

ASSERTION = "assertion"
_C = r'c="(.*)" ([0-9]+:[0-9]+) ([0-9]+:[0-9]+)'
_CONCEPT = re.compile(_C + r'\|\|t="([^"]+)"')
_ASSERTION = re.compile(_C + r'\|\|t="([^"]+)"\|\|a="([^"]+)"')
_RELATION = re.compile(_C + r'\|\|r="([^"]+)"\|\|' + _C)


def read(path: Path | None, *, texts: str = "", group: str = "", differing: str = "refuse") -> list[Document]:
    """One :class:`Document` per ``.con`` file in the folder ``path`` and below.

    ``NAME.con`` goes with ``NAME.txt``, and with ``NAME.ast`` and ``NAME.rel`` where they are there; they may lie
    in folders of their own (``concept``, ``ast``, ``rel``, ``txt``). ``texts`` is a folder with the texts,
    relative to ``path``, when they are not below it (``../test_data``). Concepts are spans (problem, test,
    treatment), an assertion is the attribute ``assertion`` of its span; a relation (``TrAP``) goes from its first
    to its second concept. ``group`` is a regular expression that finds the patient in the name. Mentions whose
    words differ from the text are refused, or with ``differing: leave out`` counted in the metadata; large and
    small letters and blanks are not compared.

    Raises one :class:`InputError` that lists all lines that cannot be read, assertions and relations of concepts
    that are not there among them.
    """
    checked(differing)
    found = files_below(path, reader="i2b2_2010", suffixes=(".con", ".ast", ".rel", ".txt"))
    root = Path(path)  # type: ignore[arg-type]
    if root.is_file():
        raise InputError("the reader needs the folder that the files lie in", where=str(root))
    if texts:
        found += files_below(root / texts, reader="i2b2_2010", suffixes=(".txt",))
    faults, by_name = Faults(), {}
    for file in dict.fromkeys(found):
        with faults.gathered():
            _keep(by_name.setdefault(file.stem, {}), file)
    documents = []
    for name, files in sorted(by_name.items()):
        # Texts without concepts are the unannotated notes that the corpus also has.
        if set(files) - {".txt"}:
            with faults.gathered():
                note = _Note(name, files, differing=differing)
                documents.append(note.document(group=group_name(name, group)))
    faults.raise_all()
    if not documents:
        raise InputError("the folder holds no .con file", where=str(root))
    return documents


def _keep(files: dict[str, Path], file: Path) -> None:
    kind = file.suffix.lower()
    if kind in files:
        raise InputError(f"two files have the name {file.name}", where=f"{files[kind]}, {file}", fix="read one folder")
    files[kind] = file


@dataclass
class _Note:
    """One note while its files are read; spans are known by place and label, for that is how files point to them."""

    name: str
    files: dict[str, Path]
    differing: str
    spans: dict[tuple[Fragment, str], Span] = field(default_factory=dict)
    asserted: dict[str, dict[str, str]] = field(default_factory=dict)
    relations: list[Relation] = field(default_factory=list)
    left_out: set[Fragment] = field(default_factory=set)
    tokens: LineTokens = field(default_factory=lambda: LineTokens(""))

    def document(self, *, group: str) -> Document:
        """The whole note; :class:`InputError` that lists all lines that cannot be read."""
        for kind in (".con", ".txt"):
            if kind not in self.files:
                known = next(iter(self.files.values()))
                raise InputError(f"the note has no {kind} file", where=str(known), fix="check the option texts")
        self.tokens = LineTokens(read_text(self.files[".txt"]))
        faults = Faults()
        for kind, form, keep in (
            (".con", _CONCEPT, self._concept),
            (".ast", _ASSERTION, self._assertion),
            (".rel", _RELATION, self._relation),
        ):
            for number, line in numbered_lines(self.files[kind]) if kind in self.files else ():
                with faults.gathered():
                    where = f"{self.files[kind]} line {number}"
                    parts = form.fullmatch(line.strip())
                    if parts is not None:
                        keep(parts, where)
                    elif line.strip():
                        raise InputError(f"the line does not have the form of a {kind} file", where=where)
        faults.raise_all()
        return Document(
            id=self.name,
            text=self.tokens.text,
            spans=tuple(self._said(span) for span in self.spans.values()),
            relations=tuple(self.relations),
            group=group,
            metadata=counted(len(self.left_out)),
        )

    def _said(self, span: Span) -> Span:
        return replace(span, attributes=self.asserted.get(span.id, {}))

    def _concept(self, parts: re.Match[str], where: str) -> None:
        place = self._place(*parts.group(1, 2, 3), where=where)
        if place is not None:
            name = f"T{len(self.spans) + 1}"
            self.spans.setdefault((place, parts[4]), Span(label=parts[4], fragments=(place,), id=name))

    def _assertion(self, parts: re.Match[str], where: str) -> None:
        place = self._place(*parts.group(1, 2, 3), where=where)
        if place is not None:
            self.asserted[self._concept_id(place, parts[4], where=where)] = {ASSERTION: parts[5]}

    def _relation(self, parts: re.Match[str], where: str) -> None:
        head = self._place(*parts.group(1, 2, 3), where=where)
        tail = self._place(*parts.group(5, 6, 7), where=where)
        if head is not None and tail is not None:
            ends = [self._concept_id(place, "", where=where) for place in (head, tail)]
            self.relations.append(
                Relation(label=parts[4], head=ends[0], tail=ends[1], id=f"R{len(self.relations) + 1}")
            )

    def _place(self, words: str, first: str, last: str, *, where: str) -> Fragment | None:
        place = self.tokens.fragment_of(words, first, last, where=where)
        if place is None:
            refuse(f"{first} {last}", differing=self.differing, where=where)
            self.left_out.add(self.tokens.fragment(first, last, where=where))
        return place

    def _concept_id(self, place: Fragment, label: str, *, where: str) -> str:
        for (there, kind), span in self.spans.items():
            if there == place and label in ("", kind):
                return span.id
        raise InputError("the line points to a concept that is not in the .con file", where=where)
