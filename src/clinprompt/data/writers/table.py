"""Tables for statistics programs and registries: CSV or Parquet; long, wide, or REDCap's import form."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from clinprompt.data.answered import Answers, answered, made_by
from clinprompt.data.atomic import new_file
from clinprompt.data.table_rows import LONG, Row, long_rows, redcap_rows, wide_rows
from clinprompt.errors import InputError
from clinprompt.schema.document import Document

LAYOUTS = ("long", "wide", "redcap")
SUFFIXES = (".csv", ".parquet")
PIECE = 2**14
"""Rows of a Parquet file that are written at a time."""


def write(
    documents: Iterable[Document],
    path: Path,
    *,
    overwrite: bool = False,
    provenance: Mapping[str, Any] | None = None,
    answers: Iterable[Answers] | None = None,
    layout: str = "long",
    codes: Mapping[str, str] | None = None,
    evidence: bool = True,
) -> dict[str, int]:
    """Write a ``.csv`` or ``.parquet`` file and return what the layout does not hold, counted.

    ``long`` has a row per span, relation and answer, ``wide`` one per document with counts and words by label,
    ``redcap`` a row per instance of the repeating instruments mention, relation and answer of a record (the
    patient). ``codes`` maps labels to the choice codes of a REDCap data dictionary, ``evidence`` keeps the
    places of mentions there. No layout holds the text; ``wide`` and ``redcap`` are
    made of all notes at once. ``made_by`` names prompts and backbone.

    Raises :class:`InputError` for another ending or layout, and when the file is there already.
    """
    path = Path(path)
    if path.suffix.lower() not in SUFFIXES or layout not in LAYOUTS:
        raise InputError(
            "the table has another form", where=str(path), allowed=f"{', '.join(SUFFIXES)}; layout {', '.join(LAYOUTS)}"
        )
    lost: Counter[str] = Counter()
    pairs, model = answered(documents, answers), made_by(provenance)
    with new_file(path, overwrite=overwrite) as part:
        if layout == "long":
            columns, rows = list(LONG), long_rows(pairs, model=model, lost=lost)
        elif layout == "wide":
            columns, rows = wide_rows(list(pairs), model=model, lost=lost)
        else:
            columns, rows = redcap_rows(list(pairs), model=model, codes=codes or {}, evidence=evidence, lost=lost)
        if path.suffix.lower() == ".csv":
            with part.open("w", encoding="utf-8", newline="") as stream:
                table = csv.DictWriter(stream, columns, lineterminator="\n")
                table.writeheader()
                table.writerows(rows)
        else:
            # Long tables have the same columns everywhere and are written in pieces; the others are held anyway.
            kinds = LONG if layout == "long" else _kinds(rows := list(rows), columns)
            _write_parquet(rows, kinds, part)
    return {kind: count for kind, count in sorted(lost.items()) if count}


def _kinds(rows: Sequence[Row], columns: Sequence[str]) -> dict[str, type]:
    return {name: int if any(isinstance(row.get(name), int) for row in rows) else str for name in columns}


def _write_parquet(rows: Iterable[Row], kinds: Mapping[str, type], part: Path) -> None:
    import pyarrow
    import pyarrow.parquet

    schema = pyarrow.schema(
        [(name, pyarrow.int64() if kind is int else pyarrow.string()) for name, kind in kinds.items()]
    )
    left = iter(rows)
    with pyarrow.parquet.ParquetWriter(part, schema) as file:
        while piece := list(islice(left, PIECE)):
            file.write_table(pyarrow.Table.from_pylist(piece, schema=schema))
