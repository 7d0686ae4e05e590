"""Tables for statistics programs and registries: CSV or Parquet; long, wide, or REDCap's import form."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from clinprompt.data.answered import Answers, answered, made_by
from clinprompt.data.atomic import new_file
from clinprompt.data.table_rows import LONG, Row, long_rows, redcap_rows, wide_rows
from clinprompt.errors import InputError
from clinprompt.schema.document import Document

LAYOUTS = ("long", "wide", "redcap")
SUFFIXES = (".csv", ".parquet")


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
    places of mentions there. No layout holds the text. ``made_by`` names prompts and backbone.

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
            _write_parquet(list(rows), columns, part)
    return {kind: count for kind, count in sorted(lost.items()) if count}


def _write_parquet(rows: Sequence[Row], columns: Sequence[str], part: Path) -> None:
    import pyarrow
    import pyarrow.parquet

    def kind(name: str) -> pyarrow.DataType:
        numbers = LONG.get(name) is int or any(isinstance(row.get(name), int) for row in rows)
        return pyarrow.int64() if numbers else pyarrow.string()

    held = {name: pyarrow.array([row.get(name) for row in rows], kind(name)) for name in columns}
    pyarrow.parquet.write_table(pyarrow.table(held), part)
