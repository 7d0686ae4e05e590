"""DDI corpus 2013: XML sentences with drug entities and drug-drug interactions."""

from __future__ import annotations

import re
from pathlib import Path
from xml.etree.ElementTree import Element

from clinprompt.data.faults import Faults
from clinprompt.data.files import files_below, read_xml
from clinprompt.errors import InputError
from clinprompt.schema.document import Document, Relation, Span

_OFFSETS = re.compile(r"[0-9]{1,9}-[0-9]{1,9}(;[0-9]{1,9}-[0-9]{1,9})*")


def read(path: Path | None, *, untyped: str = "") -> list[Document]:
    """One :class:`Document` per sentence of a file or of the files of a folder; its group is the XML
    document.

    Offsets in the files include the last character; an entity in several segments becomes a discontinuous
    span. Positive pairs become relations from the first to the second entity; a positive pair without a
    type gets the label ``untyped``, or is counted in the metadata when that is empty. The pairs of "Test
    for DrugNER task" are all negative in the files: use that folder for entities only.

    Raises one :class:`InputError` that lists all sentences that cannot be read.
    """
    faults, documents = Faults(), []
    for file in files_below(path, reader="ddi", suffixes=(".xml",)):
        with faults.gathered():
            root = read_xml(file)
            group = root.get("id", "")
            if root.tag != "document" or not group:
                raise InputError("the file is no DDI <document> with an id", where=str(file))
            for place, sentence in enumerate(root.iter("sentence"), 1):
                with faults.gathered():
                    where = f"{file} sentence {place}"
                    documents.append(_document(sentence, group=group, untyped=untyped, where=where))
    faults.raise_all()
    return documents


def _document(sentence: Element, *, group: str, untyped: str, where: str) -> Document:
    name, text = sentence.get("id"), sentence.get("text")
    if not name or text is None:
        raise InputError("the sentence has no id or no text", where=where)
    metadata: dict[str, str] = {}
    spans = tuple(
        _span(entity, text, metadata, where=f"{where} entity {place}")
        for place, entity in enumerate(sentence.iter("entity"), 1)
    )
    relations = []
    for place, pair in enumerate(sentence.iter("pair"), 1):
        head, tail, value = (pair.get(key, "") for key in ("e1", "e2", "ddi"))
        if value not in ("true", "false") or not head or not tail:
            raise InputError("the pair has no ddi value or no ends", where=f"{where} pair {place}")
        label = pair.get("type") or untyped
        if value == "true" and label:
            relations.append(Relation(label=label, head=head, tail=tail, id=pair.get("id", f"R{place}")))
        elif value == "true":
            metadata["pairs without a type"] = str(int(metadata.get("pairs without a type", 0)) + 1)
    return Document(id=name, text=text, spans=spans, relations=tuple(relations), group=group, metadata=metadata)


def _span(entity: Element, text: str, metadata: dict[str, str], *, where: str) -> Span:
    name, label, offsets = (entity.get(key, "") for key in ("id", "type", "charOffset"))
    if not name or not label or not _OFFSETS.fullmatch(offsets):
        raise InputError("the entity has no id, type or charOffset", where=where, allowed='charOffset="0-6;10-12"')
    segments = [tuple(map(int, segment.split("-"))) for segment in offsets.split(";")]
    fragments = tuple(sorted((start, last + 1) for start, last in segments))
    span = Span(label=label, fragments=fragments, id=name)
    if "".join(span.surface(text).split()) != "".join(entity.get("text", "").split()):
        # One discontinuous entity of the published corpus is off by one; other differences are faults.
        if len(fragments) == 1:
            raise InputError(f"the words of the entity are not the text at {offsets}", where=where)
        metadata["entities that differ from the text"] = str(
            int(metadata.get("entities that differ from the text", 0)) + 1
        )
    return span
