"""CoNLL columns: a token a line with its offsets and a BIO tag, so that tagger and text find each other again."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from clinprompt.data.atomic import new_file
from clinprompt.data.faults import Faults
from clinprompt.errors import InputError
from clinprompt.schema.document import Document, Span

TOKENS = re.compile(r"[^\W\d_]+|\d+|[^\w\s]|_")
"""The tokeniser: runs of letters, runs of digits, every other character that is no blank by itself."""
TEXT = "text_json"


def write(
    documents: Iterable[Document],
    path: Path,
    *,
    overwrite: bool = False,
    provenance: Mapping[str, Any] | None = None,
) -> dict[str, int]:
    """Write the columns token, start, end and tag, divided by tabs, and return what BIO cannot hold, counted.

    Tokens are :data:`TOKENS`; offsets count code points of the document. A blank line stands where a line of the
    text ends outside a span. The text itself stands in a comment, so that the reader ``conll`` with
    ``start: 1, end: 2, unit: document, by_file: false`` gives documents and spans back exactly. Spans that lie
    in or across longer ones (``nested``), have several fragments (``discontinuous``) or do not begin and end
    with a token (``inside tokens``) are left out, as are relations, attributes, metadata and groups; ids are
    lost unless they are T1, T2, … in text order.

    Raises :class:`InputError` for ids and labels that no line can hold, and when the file is there already.
    """
    lost, faults, names = Counter[str](), Faults(), set[str]()
    with (
        new_file(path, overwrite=overwrite) as part,
        part.open("w", encoding="utf-8", newline="") as stream,
    ):
        stream.write(f"# provenance = {json.dumps(provenance)}\n" if provenance is not None else "")
        for document in documents:
            with faults.gathered():
                if document.id in names:
                    raise InputError("two documents have the same id", where=f"document {document.id}")
                names.add(document.id)
                stream.write("".join(_lines(document, lost)))
        faults.raise_all()
    return {kind: count for kind, count in sorted(lost.items()) if count}


def kept_spans(document: Document, lost: Counter[str]) -> list[Span]:
    """The spans that BIO tags can hold, in text order: of those that meet, the longest first one."""
    borders = [match.span() for match in TOKENS.finditer(document.text)]
    starts, ends = {start for start, _ in borders}, {end for _, end in borders}
    whole = []
    for span in document.spans:
        kind = "discontinuous" if len(span.fragments) > 1 else ""
        if not kind and not (span.start in starts and span.end in ends):
            kind = "inside tokens"
        lost[kind or "kept"] += 1
        if not kind:
            whole.append(span)
    kept: list[Span] = []
    free = [True] * len(document.text)
    for span in sorted(whole, key=lambda span: (span.start - span.end, span.start)):
        if all(free[span.start : span.end]):
            free[span.start : span.end] = [False] * (span.end - span.start)
            kept.append(span)
    lost["nested"] += len(whole) - len(kept)
    del lost["kept"]
    return sorted(kept, key=lambda span: span.start)


def _lines(document: Document, lost: Counter[str]) -> list[str]:
    where = f"document {document.id}"
    if not document.id or document.id != document.id.strip() or re.search(r"[\r\n]", document.id):
        raise InputError("the id of the document cannot stand in a comment", where=where)
    kept = kept_spans(document, lost)
    for place, span in enumerate(kept, 1):
        if re.search(r"[\t\r\n]", span.label):
            raise InputError("a label has a tab or a line break", where=where, fix="rename it with a label map")
        lost["ids"] += span.id != f"T{place}"
    lost["attributes"] += sum(len(span.attributes) for span in kept)
    lost["relations"] += len(document.relations)
    lost["metadata"] += len(document.metadata)
    lost["groups"] += document.group != document.id
    lines = [f"# newdoc id = {document.id}\n", f"# {TEXT} = {json.dumps(document.text)}\n"]
    spans = iter(kept)
    span = next(spans, None)
    last = 0
    for match in TOKENS.finditer(document.text):
        start, end = match.span()
        if span is not None and start >= span.end:
            span = next(spans, None)
        inside = span is not None and span.start <= start
        opens = inside and span is not None and span.start == start
        if last and (opens or not inside) and re.search(r"[\r\n]", document.text[last:start]):
            lines.append("\n")
        tag = "O" if not inside or span is None else f"{'B' if opens else 'I'}-{span.label}"
        lines.append(f"{match.group()}\t{start}\t{end}\t{tag}\n")
        last = end
    return [*lines, "\n"]
