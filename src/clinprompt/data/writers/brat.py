"""brat standoff: one ``.txt``/``.ann`` pair per document."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from clinprompt.data.atomic import whole_folder
from clinprompt.data.faults import Faults
from clinprompt.data.standoff import CONCEPT_NAME, EVENT, KEPT, NOTE, flat
from clinprompt.errors import InputError
from clinprompt.schema.concepts import CONCEPT
from clinprompt.schema.document import Document, Relation, Span

_WORD = re.compile(r"\S+")
_FORBIDDEN = re.compile(r"[\\\0-\x1f:*?\"<>|]")
_REFERENCE = re.compile(r"[^\s:,;]+:[^\s,;]+(,[^\s:,;]+:[^\s,;]+)*")
_POINTERS = re.compile(r"(?<= )[TER][0-9]+(?!\S)")

PROVENANCE = "provenance.json"


def write(
    documents: Iterable[Document],
    path: Path,
    *,
    overwrite: bool = False,
    provenance: Mapping[str, Any] | None = None,
) -> dict[str, int]:
    """Write the pairs into the folder ``path`` and return what the format cannot hold, counted.

    What the brat reader read is written again in this order: spans, events, relations, attributes,
    normalisations, notes, other lines. Ids of spans, events and relations stay, those of attributes,
    normalisations and notes count from 1, in the order of their spans; no line ends in a blank. Of two events
    with one trigger the first has the attributes of both.

    The ids of documents become file names, with folders where they contain ``/``. Ids of spans and relations
    are kept when they have brat's form (``T1``, ``R1``) and are given anew otherwise (counted as
    ``ids``); ``groups`` that differ from the id, ``metadata``, ``events`` without a usable id, and
    ``lines`` that point to something no longer there are lost. ``provenance`` says where predicted
    annotation comes from; brat has no place for it, so it goes into ``provenance.json`` beside the pairs.

    Raises :class:`InputError` for labels or attributes with blanks, ids that are no file names, and a
    folder with something in it unless ``overwrite`` is set; nothing is written then.
    """
    lost: Counter[str] = Counter()
    names: set[str] = set()
    faults = Faults()
    with whole_folder(path, overwrite=overwrite) as folder:
        for document in documents:
            with faults.gathered():
                stem = _file_stem(document.id, names)
                lines, left = annotations(document)
                lost.update(left)
                (folder / stem).parent.mkdir(parents=True, exist_ok=True)
                for suffix, text in ((".txt", document.text), (".ann", lines)):
                    (folder / (stem + suffix)).write_bytes(text.encode("utf-8"))
        faults.raise_all()
        if provenance is not None:
            (folder / PROVENANCE).write_text(json.dumps(provenance, indent=1) + "\n", encoding="utf-8")
    return {kind: count for kind, count in sorted(lost.items()) if count}


def annotations(document: Document) -> tuple[str, dict[str, int]]:
    """The text of one document's ``.ann`` file, and what it cannot hold, counted as by :func:`write`."""
    lost: Counter[str] = Counter()
    text = "".join(line + "\n" for line in _Lines(document, lost).all())
    lost["groups"] += document.group != document.id
    lost["metadata"] += len(set(document.metadata) - {KEPT})
    return text, {kind: count for kind, count in sorted(lost.items()) if count}


def _file_stem(name: str, names: set[str]) -> str:
    parts = PurePosixPath(name).parts
    usable = name == "/".join(parts) and all(part not in (".", "..", "/") for part in parts)
    if not usable or not name or _FORBIDDEN.search(name) or any(len(part.encode()) > 240 for part in parts):
        raise InputError(f"the document id {name!r} cannot be a file name", fix="give the documents other ids")
    if name.casefold() in names:
        raise InputError(f"two documents have the id {name!r} (large and small letters are the same in file names)")
    names.add(name.casefold())
    return name


class _Lines:
    """The lines of one document, by kind."""

    def __init__(self, document: Document, lost: Counter[str]) -> None:
        self.document, self.lost = document, lost
        self.where = f"document {document.id}"
        ids = [span.id for span in document.spans]
        self.spans = _names(ids, letter="T", lost=lost)
        self.names = dict(zip(ids, self.spans, strict=True))
        self.events = _events(document.spans)
        owner = {event: span.id for span in document.spans for event in self.events.get(span.id, ())}
        # Arguments by event, in the order of the reader's numbers; all other relations have lines of their own.
        self.arguments: dict[str, list[Relation]] = {event: [] for event in owner}
        self.relations: list[Relation] = []
        for relation in document.relations:
            event, _, place = relation.id.partition(".")
            if place.isdigit() and owner.get(event) == relation.head:
                self.arguments[event].append(relation)
            else:
                self.relations.append(relation)
        self.kept = [line for line in document.metadata.get(KEPT, "").split("\n") if line]

    def all(self) -> list[str]:
        """Every line of the ``.ann`` file."""
        relations = self._relations()
        spans = map(self._span, self.document.spans, self.spans)
        usable = self._usable(relations)
        return [*spans, *self._event_lines(), *relations, *self._said(), *usable]

    def _span(self, span: Span, name: str) -> str:
        offsets = ";".join(f"{start} {end}" for start, end in span.fragments)
        label = self._word(span.label, of=f"the label of {name}")
        return f"{name}\t{label} {offsets}\t{flat(span.surface(self.document.text))}"

    def _end(self, span_id: str) -> str:
        # brat points to an event, where there is one, and to its trigger otherwise.
        return self.events.get(span_id, (self.names[span_id],))[0]

    def _event_lines(self) -> list[str]:
        lines = []
        for span in self.document.spans:
            for event in self.events.get(span.id, ()):
                roles: Counter[str] = Counter()
                words = [f"{self._word(span.label, of=f'the label of {event}')}:{self.names[span.id]}"]
                for place, relation in enumerate(self.arguments[event], 1):
                    self.lost["ids"] += relation.id != f"{event}.{place}"
                    roles[relation.label] += 1
                    role = self._word(relation.label, of=f"a role of {event}")
                    number = roles[relation.label]
                    words.append(f"{role}{number if number > 1 else ''}:{self._end(relation.tail)}")
                lines.append(f"{event}\t{' '.join(words)}")
        return lines

    def _relations(self) -> list[str]:
        names = _names([relation.id for relation in self.relations], letter="R", lost=self.lost)
        return [
            f"{name}\t{self._word(relation.label, of=f'the label of {name}')} "
            f"Arg1:{self._end(relation.head)} Arg2:{self._end(relation.tail)}"
            for name, relation in zip(names, self.relations, strict=True)
        ]

    def _said(self) -> list[str]:
        """Attribute lines, then normalisations, then notes."""
        lines: dict[str, list[str]] = {"A": [], "N": [], "#": []}
        taken = {line.split("\t")[0] for line in self.kept}

        def add(letter: str, rest: str) -> None:
            number = len(lines[letter]) + 1
            while f"{letter}{number}" in taken:
                number += 1
            taken.add(f"{letter}{number}")
            lines[letter].append(f"{letter}{number}\t{rest}")

        for span, written in zip(self.document.spans, self.spans, strict=True):
            target = self.events.get(span.id, (written,))[0]
            for key, value in span.attributes.items():
                _, _, word = key.partition(" ")
                if key == EVENT:
                    self.lost["events"] += span.id not in self.events
                    continue
                if "\r" in value or ("\n" in value and " " not in key):
                    raise InputError(f"an attribute value of {target} has a line break", where=self.where)
                if key == CONCEPT_NAME and _REFERENCE.fullmatch(span.attributes.get(CONCEPT, "")):
                    continue
                if key == CONCEPT and _REFERENCE.fullmatch(value):
                    called = span.attributes.get(CONCEPT_NAME, "")
                    titles = called.split("\n") if called else []
                    for place, reference in enumerate(value.split(",")):
                        title = f"\t{titles[place]}" if place < len(titles) else ""
                        add("N", f"Reference {written} {reference}{title}")
                elif key.startswith(NOTE):
                    for note in value.split("\n"):
                        add("#", f"{self._word(word, of='the type of a note')} {target}\t{note}")
                else:
                    name = self._word(key, of=f"an attribute of {target}")
                    add("A", f"{name} {target} {value}" if value else f"{name} {target}")
        return [line for kind in lines.values() for line in kind]

    def _usable(self, relations: list[str]) -> list[str]:
        """The kept lines whose pointers are all written, under the names that they had."""
        there = {line.split("\t")[0] for line in relations}.intersection(link.id for link in self.relations)
        there |= {name for span_id, name in self.names.items() if name == span_id} | set(self.arguments)
        usable = [line for line in self.kept if there.issuperset(_POINTERS.findall(" ".join(line.split("\t")[:2])))]
        self.lost["lines"] += len(self.kept) - len(usable)
        return usable

    def _word(self, text: str, *, of: str) -> str:
        if not _WORD.fullmatch(text):
            raise InputError(
                f"{of} has blanks, which brat cannot hold", where=self.where, fix="rename it with a label map"
            )
        return text


def _events(spans: Iterable[Span]) -> dict[str, tuple[str, ...]]:
    """Event ids by the span that triggers them; those that are no ids or are claimed twice are left out."""
    claimed = {
        span.id: tuple(span.attributes[EVENT].split(" ")) for span in spans if span.id and EVENT in span.attributes
    }
    times = Counter(event for events in claimed.values() for event in events)
    return {
        name: events
        for name, events in claimed.items()
        if all(re.fullmatch("E[0-9]+", event) and times[event] == 1 for event in events)
    }


def _names(ids: list[str], *, letter: str, lost: Counter[str]) -> list[str]:
    if all(re.fullmatch(letter + "[0-9]+", name) for name in ids) and len(set(ids)) == len(ids):
        return ids
    lost["ids"] += len(ids)
    return [f"{letter}{place}" for place in range(1, len(ids) + 1)]
