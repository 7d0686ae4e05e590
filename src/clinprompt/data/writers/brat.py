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
from clinprompt.data.standoff import flat
from clinprompt.errors import InputError
from clinprompt.schema.document import Document

_WORD = re.compile(r"\S+")
_FORBIDDEN = re.compile(r"[\\\0-\x1f:*?\"<>|]")


PROVENANCE = "provenance.json"


def write(
    documents: Iterable[Document],
    path: Path,
    *,
    overwrite: bool = False,
    provenance: Mapping[str, Any] | None = None,
) -> dict[str, int]:
    """Write the pairs into the folder ``path`` and return what the format cannot hold, counted.

    The ids of documents become file names, with folders where they contain ``/``. Ids of spans and
    relations are kept when they have brat's form (``T1``, ``R1``) and are given anew otherwise (counted as
    ``ids``); ``groups`` that differ from the id and ``metadata`` are lost. ``provenance`` says where predicted
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
                annotations = _annotations(document, lost)
                (folder / stem).parent.mkdir(parents=True, exist_ok=True)
                for suffix, text in ((".txt", document.text), (".ann", annotations)):
                    (folder / (stem + suffix)).write_bytes(text.encode("utf-8"))
                lost["groups"] += document.group != document.id
                lost["metadata"] += len(document.metadata)
        faults.raise_all()
        if provenance is not None:
            (folder / PROVENANCE).write_text(json.dumps(provenance, indent=1) + "\n", encoding="utf-8")
    return {kind: count for kind, count in sorted(lost.items()) if count}


def _file_stem(name: str, names: set[str]) -> str:
    parts = PurePosixPath(name).parts
    usable = name == "/".join(parts) and all(part not in (".", "..", "/") for part in parts)
    if not usable or not name or _FORBIDDEN.search(name) or any(len(part.encode()) > 240 for part in parts):
        raise InputError(f"the document id {name!r} cannot be a file name", fix="give the documents other ids")
    if name.casefold() in names:
        raise InputError(f"two documents have the id {name!r} (large and small letters are the same in file names)")
    names.add(name.casefold())
    return name


def _annotations(document: Document, lost: Counter[str]) -> str:
    where = f"document {document.id}"
    spans = _names([span.id for span in document.spans], letter="T", lost=lost)
    relations = _names([relation.id for relation in document.relations], letter="R", lost=lost)
    by_id = dict(zip((span.id for span in document.spans), spans, strict=True))
    lines, attributes = [], []
    for name, span in zip(spans, document.spans, strict=True):
        offsets = ";".join(f"{start} {end}" for start, end in span.fragments)
        label = _word(span.label, what=f"the label of {name}", where=where)
        lines.append(f"{name}\t{label} {offsets}\t{flat(span.surface(document.text))}")
        for key, value in span.attributes.items():
            if re.search(r"[\r\n]", value):
                raise InputError(f"an attribute value of {name} has a line break", where=where)
            word = _word(key, what=f"an attribute of {name}", where=where)
            number = f"A{len(attributes) + 1}"
            attributes.append(f"{number}\t{word} {name} {value}" if value else f"{number}\t{word} {name}")
    for name, relation in zip(relations, document.relations, strict=True):
        label = _word(relation.label, what=f"the label of {name}", where=where)
        lines.append(f"{name}\t{label} Arg1:{by_id[relation.head]} Arg2:{by_id[relation.tail]}")
    return "".join(line + "\n" for line in (*lines, *attributes))


def _names(ids: list[str], *, letter: str, lost: Counter[str]) -> list[str]:
    if all(re.fullmatch(letter + "[0-9]+", name) for name in ids) and len(set(ids)) == len(ids):
        return ids
    lost["ids"] += len(ids)
    return [f"{letter}{place}" for place in range(1, len(ids) + 1)]


def _word(text: str, *, what: str, where: str) -> str:
    if not _WORD.fullmatch(text):
        raise InputError(f"{what} has blanks, which brat cannot hold", where=where, fix="rename it with a label map")
    return text
