"""The lines of one brat ``.ann`` file, checked against the text they annotate.

What brat says of a span beyond its label stands in its attributes. Attribute lines give plain names; names with a
blank, which brat itself cannot have, hold the rest: :data:`EVENT` the ids of the events that the span triggers,
:data:`NOTE` and a type the text of a note. A normalisation is the attribute ``concept`` (and ``concept name``).
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from clinprompt.data.faults import Faults
from clinprompt.errors import InputError
from clinprompt.schema.concepts import CONCEPT
from clinprompt.schema.document import Fragment, Relation, Span

EVENT, NOTE, CONCEPT_NAME = "brat event", "note ", f"{CONCEPT} name"
KEPT = "brat lines"
"""The metadata entry with the lines that fit neither spans nor relations, as they are."""

_SPAN = re.compile(r"(T[0-9]+)\t(\S+) ([0-9]{1,12} [0-9]{1,12}(?:;[0-9]{1,12} [0-9]{1,12})*)\t(.*)", re.DOTALL)
_EVENT = re.compile(r"(E[0-9]+)\t([^\s:]+):(T[0-9]+)((?: [^\s:]+:[TE][0-9]+)*)\s*")
_RELATION = re.compile(r"(R[0-9]+)\t(\S+) ([^\s:]+):([TE][0-9]+) ([^\s:]+):([TE][0-9]+)\s*")
_ATTRIBUTE = re.compile(r"([AM][0-9]+)\t(\S+) ([TER][0-9]+)(?: (.*))?", re.DOTALL)
_CONCEPT = re.compile(r"(N[0-9]+)\tReference ([TE][0-9]+) ([^\s:,;]+:[^\s,;]+)(?:\t(.*))?", re.DOTALL)
_NOTE = re.compile(r"(#[0-9]+)\t(\S+) ([TE][0-9]+)\t(.*)", re.DOTALL)
_FORMS = {"T": _SPAN, "E": _EVENT, "R": _RELATION, "A": _ATTRIBUTE, "M": _ATTRIBUTE, "N": _CONCEPT, "#": _NOTE}
_MAY_BE_KEPT = "*#N"


def flat(text: str) -> str:
    """A mention as brat writes it on one line: every line break is a blank."""
    return text.replace("\r", " ").replace("\n", " ")


@dataclass(frozen=True, slots=True)
class _Link:
    label: str
    head: str
    tail: str
    id: str
    where: str


@dataclass(frozen=True, slots=True)
class _Said:
    """Something said of a span or of an event: a name, a value, and what joins several values."""

    target: str
    name: str
    value: str
    joint: str
    where: str


class Standoff:
    """Spans, events, relations and attributes as they are read line by line; ids are resolved at the end."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.spans: dict[str, Span] = {}
        self.triggers: dict[str, tuple[str, str]] = {}  # event id to trigger id and type
        self.links: list[_Link] = []
        self.said: list[_Said] = []
        self.kept: list[str] = []
        self.seen: set[str] = set()

    def add(self, line: str, *, where: str) -> None:
        """Read one line; :class:`InputError` when it has no known form, repeats an id or differs from the
        text.
        """
        kind = line[:1]
        if not line.strip():
            return
        parts = _FORMS[kind].fullmatch(line) if kind in _FORMS else None
        if parts is None and kind in _MAY_BE_KEPT:
            self.kept.append(line)
            return
        if parts is None:
            raise InputError(
                "the line does not have the form of a brat annotation",
                where=where,
                allowed="lines beginning with T, E, R, A, M, N, # or *, a tab after the id",
            )
        if parts[1] in self.seen:
            raise InputError(f"the id {parts[1]} is there twice", where=where)
        self.seen.add(parts[1])
        if kind == "T":
            self._add_span(parts[1], parts[2], parts[3], parts[4], where=where)
        elif kind == "E":
            self._add_event(parts[1], (parts[3], parts[2]), parts[4].split(), where=where)
        elif kind == "R":
            head, tail = (parts[4], parts[6]) if parts[3] <= parts[5] else (parts[6], parts[4])
            self.links.append(_Link(parts[2], head, tail, parts[1], where))
        elif kind == "N":
            self.said.append(_Said(parts[2], CONCEPT, parts[3], ",", where))
            self.said.append(_Said(parts[2], CONCEPT_NAME, parts[4] or "", "\n", where))
        elif kind == "#":
            self.said.append(_Said(parts[3], NOTE + parts[2], parts[4], "\n", where))
        elif parts[3].startswith("R"):
            self.kept.append(line)
        else:
            # Two events on one trigger may differ; both values are kept.
            self.said.append(_Said(parts[3], parts[2], parts[4] or "", ";", where))

    def _add_span(self, name: str, label: str, offsets: str, surface: str, *, where: str) -> None:
        written = [_fragment(offset) for offset in offsets.split(";")]
        fragments = tuple(sorted(written))
        last = 0
        for start, end in fragments:
            if not last <= start < end <= len(self.text):
                raise InputError(
                    f"{name} has the fragment {start}-{end}, which is empty, overlapping or outside the text",
                    where=where,
                    allowed=f"start < end within 0-{len(self.text)}",
                )
            last = end
        covered = {flat(" ".join(self.text[a:b] for a, b in order)) for order in (fragments, written)}
        if not any(_same(words, surface) for words in covered):
            raise InputError(
                f"the words of {name} are not the text at {offsets.replace(' ', '-')}",
                where=where,
                fix="check that offsets count characters (not bytes) of this very text file",
            )
        self.spans[name] = Span(label=label, fragments=fragments, id=name)

    def _add_event(self, name: str, trigger: tuple[str, str], arguments: list[str], *, where: str) -> None:
        self.triggers[name] = trigger
        self.said.append(_Said(name, EVENT, name, " ", where))
        for place, argument in enumerate(arguments, 1):
            role, _, target = argument.partition(":")
            label = role.rstrip("0123456789") or role
            self.links.append(_Link(label, name, target, f"{name}.{place}", where))

    def resolved(self, *, where: str) -> tuple[tuple[Span, ...], tuple[Relation, ...]]:
        """Spans with their attributes and relations between spans; :class:`InputError` for ids that are not
        there.
        """
        faults = Faults()
        relations = []
        for link in self.links:
            with faults.gathered():
                ends = [self._span_id(end, of=link.id, where=link.where) for end in (link.head, link.tail)]
                relations.append(Relation(label=link.label, head=ends[0], tail=ends[1], id=link.id))
        values: dict[str, dict[str, str]] = {name: {} for name in self.spans}
        for said in self.said:
            with faults.gathered():
                held = values[self._span_id(said.target, of=f"the {said.name.strip()}", where=said.where)]
                if said.joint == ";" and held.get(said.name) == said.value:
                    continue  # two events on one trigger agree
                held[said.name] = f"{held[said.name]}{said.joint}{said.value}" if said.name in held else said.value
        for name, (_, kind) in self.triggers.items():
            with faults.gathered():
                if self.spans[self._span_id(name, of=name, where=where)].label != kind:
                    raise InputError(f"the type of {name} is not the label of its trigger", where=where)
        faults.raise_all()
        for held in values.values():
            if not held.get(CONCEPT_NAME, "-").strip("\n"):
                del held[CONCEPT_NAME]
        spans = tuple(
            Span(label=span.label, fragments=span.fragments, id=name, attributes=values[name]) if values[name] else span
            for name, span in self.spans.items()
        )
        return spans, tuple(relations)

    def metadata(self) -> dict[str, str]:
        """The lines that a document has no other place for: equivalences, and what is said of relations."""
        return {KEPT: "\n".join(self.kept)} if self.kept else {}

    def _span_id(self, name: str, *, of: str, where: str) -> str:
        span, _ = self.triggers.get(name, (name, ""))
        if span not in self.spans:
            raise InputError(f"{of} points to {span}, which is not there", where=where)
        return span


def _fragment(offset: str) -> Fragment:
    start, end = offset.split(" ")
    return int(start), int(end)


def _same(covered: str, surface: str) -> bool:
    # Tools differ in whether a line break of two characters is one blank or two, and some add a column.
    return any(
        covered == form or re.sub(" +", " ", covered) == re.sub(" +", " ", form)
        for form in (surface, surface.partition("\t")[0])
    )
