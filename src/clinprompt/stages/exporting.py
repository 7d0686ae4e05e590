"""Annotated notes from one format to another, with a report of what the new one cannot hold."""

from __future__ import annotations

import inspect
import json
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from clinprompt.data.answered import Answers
from clinprompt.data.files import parse_json, read_text
from clinprompt.data.stream import Stream
from clinprompt.data.writers import FOLDERS, WRITERS
from clinprompt.data.writers.brat import PROVENANCE
from clinprompt.errors import InputError
from clinprompt.schema.document import Document, Relation, Span
from clinprompt.schema.example import Example, Split
from clinprompt.stages.atomic import write_json
from clinprompt.stages.importing import reader_of
from clinprompt.stages.options import check_options
from clinprompt.stages.prepared import TASK, open_prepared

OWN = ("documents", "path", "overwrite", "provenance", "answers")
"""Parameters of a writer that are no options of its format."""


@dataclass(frozen=True, slots=True)
class Exported:
    """What was written, and what was not: counts by kind, also in the file ``report`` beside the output."""

    documents: int
    spans: int
    relations: int
    answers: int
    lost: Mapping[str, int]
    report: Path


def export(
    source: Path,
    out: Path,
    *,
    reader: str | None,
    writer: str,
    reader_options: Mapping[str, Any] | None = None,
    writer_options: Mapping[str, Any] | None = None,
    overwrite: bool = False,
) -> Exported:
    """Read ``source`` and write it to ``out``; the loss report stands beside it as ``NAME.loss.json``.

    Without ``reader`` the source is a prepared task, all parts of it. Examples become documents with their
    answers; their other inputs become metadata. Raises :class:`InputError` for what cannot be read or written;
    nothing is written then.
    """
    check_output(writer, writer_options or {}, out, overwrite=overwrite)
    items = _items(source, reader, reader_options or {})
    first = next(iter(items), None)
    if first is None:
        raise InputError("there is nothing to export", where=str(source))
    provenance = _provenance(source, items)
    counts = Counter(documents=0, spans=0, relations=0, answers=0)

    def documents() -> Iterator[Document]:
        counts.subtract(dict(counts))  # a writer may go through them again
        for item in items:
            document = _document(item, without="provenance" if provenance is not None else "")
            counts.update(documents=1, spans=len(document.spans), relations=len(document.relations))
            counts["answers"] += len(_answers(item))
            yield document

    # Documents have no answers of their own, which need not be looked for then.
    answers = () if isinstance(first, Document) else Stream(lambda: map(_answers, items))
    lost = write_documents(
        Stream(documents), out, writer=writer, options=writer_options or {}, answers=answers, provenance=provenance,
        overwrite=overwrite,
    )  # fmt: skip
    report = out.with_name(out.name + ".loss.json")
    write_json(report, {"format": writer, "read": counts, "lost": lost})
    return Exported(**counts, lost=lost, report=report)


def is_prepared(source: Path) -> bool:
    """Whether the folder holds a prepared task."""
    return any((folder / TASK).is_file() for folder in (source, source / "outputs"))


def write_documents(
    documents: Iterable[Document],
    out: Path,
    *,
    writer: str,
    options: Mapping[str, Any],
    answers: Iterable[Answers],
    provenance: Mapping[str, Any] | None,
    overwrite: bool = False,
) -> dict[str, int]:
    """Write documents with their answers; answers that the format has no place for are among what is lost.

    Documents are gone through once or, where a format begins with what all of them hold, twice.
    """
    write = partial(WRITERS[writer], overwrite=overwrite, provenance=provenance, **options)
    if not any(answers):
        return write(documents, out)
    if holds_answers(writer):
        return write(documents, out, answers=answers)
    return {**write(documents, out), "answers": sum(map(len, answers))}


def holds_answers(writer: str) -> bool:
    """Whether a format has a place for classes, option keys and texts."""
    return "answers" in inspect.signature(WRITERS[writer]).parameters


def check_output(writer: str, options: Mapping[str, Any], out: Path, *, overwrite: bool = False) -> None:
    """Raise :class:`InputError` for an unknown writer or option, and for an output that is there already."""
    check_options("writer", writer, WRITERS[writer], options, apart=OWN)
    filled = out.is_dir() and (writer not in FOLDERS or any(out.iterdir()))
    if (out.is_file() or filled) and not overwrite:
        raise InputError("the output is there already", where=str(out), fix="choose another name")


def rehearse(
    ids: Iterable[str], labels: Sequence[str], relations: Sequence[str], out: Path, *,
    writer: str, options: Mapping[str, Any],
) -> None:  # fmt: skip
    """Write documents of these names and labels, without their texts, into a folder that is removed.

    So what a format refuses is known before the notes are read rather than after.
    """
    spans = tuple(Span(label, ((0, 1),), f"T{place}") for place, label in enumerate(labels, 1))
    links = tuple(Relation(label, "T1", "T1", f"R{place}") for place, label in enumerate(relations, 1) if spans)
    with tempfile.TemporaryDirectory() as folder:
        made = [Document(name, "x", spans, links) for name in ids]
        WRITERS[writer](made, Path(folder) / out.name, **options)


def _items(source: Path, reader: str | None, options: Mapping[str, Any]) -> Iterable[Document | Example]:
    if reader is not None:
        return reader_of(reader, options)(source, **options)
    prepared = open_prepared(source)
    return Stream(
        lambda: (
            replace(example, metadata={**example.metadata, "part": split.value})
            for split in Split
            for example in prepared.examples(split)
        )
    )


def _document(item: Document | Example, *, without: str) -> Document:
    """The item as a document, ``without`` this key of its metadata."""
    if isinstance(item, Document):
        if without not in item.metadata:
            return item
        return replace(item, metadata={key: value for key, value in item.metadata.items() if key != without})
    metadata = {**item.metadata, **{slot: text for slot, text in item.inputs.items() if slot != "note"}}
    metadata.pop(without, None)
    return Document(item.id, item.note, item.answer.spans, item.answer.relations, item.group, metadata)


def _answers(item: Document | Example) -> dict[str, str | None]:
    if isinstance(item, Document):
        return {}
    said = {"label": item.answer.label, "text": item.answer.text}
    return {name: value for name, value in said.items() if value is not None}


def _provenance(source: Path, items: Iterable[Document | Example]) -> dict[str, Any] | None:
    """Where predictions come from, when they say: a file beside brat's pairs, or the lines of our own JSON."""
    beside = source / PROVENANCE
    if beside.is_file():
        return dict(parse_json(read_text(beside), where=str(beside)))
    told: set[str] = set()
    for item in items:
        told.add(item.metadata.get("provenance", ""))
        if len(told) > 1 or "" in told:
            return None
    try:
        return dict(json.loads(told.pop()))
    except ValueError:
        return None
