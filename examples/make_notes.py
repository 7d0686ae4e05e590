"""Writes the brat notes of this folder: synthetic, so that the quick start has something of "one's own" to import.

Run from the repository root: ``python examples/make_notes.py``.
"""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

from clinprompt.data.readers.synthetic import read
from clinprompt.data.writers import brat
from clinprompt.schema.document import Document

HERE = Path(__file__).parent
LABELS = {"drug": "Drug", "dose": "Dosage", "reason": "Reason"}


def own_schema(document: Document) -> Document:
    """The document under another hospital's label names, with only the labels that hospital annotates."""
    spans = tuple(replace(span, label=LABELS[span.label], id="") for span in document.spans if span.label in LABELS)
    named = tuple(replace(span, id=f"T{i}") for i, span in enumerate(spans, start=1))
    return replace(document, id=document.id.replace("/", "-"), spans=named, relations=(), group="")


def main() -> None:
    """Write ``notes/`` (annotated) and ``new-notes/`` (text only)."""
    for folder in ("notes", "new-notes"):
        shutil.rmtree(HERE / folder, ignore_errors=True)
    notes = read(None, n=90, seed=7001, site="B", reserved=0.3, sections=["medications"])
    brat.write([own_schema(document) for document in notes], HERE / "notes")
    new = HERE / "new-notes"
    new.mkdir()
    for document in read(None, n=6, seed=7002, site="B", reserved=0.3, sections=["medications"]):
        (new / f"{document.id}.txt").write_text(document.text, encoding="utf-8", newline="")


if __name__ == "__main__":
    main()
