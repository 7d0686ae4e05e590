"""Tables for statistics programs and registries: CSV or Parquet; long, wide, or REDCap's import form."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from clinprompt.data.answered import Answers, answered, made_by
from clinprompt.data.atomic import new_file
from clinprompt.data.table_rows import LONG, Row, long_rows, redcap_rows, wide_rows
from clinprompt.data.tables import write_rows
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
    places of mentions there. No layout holds the text; ``wide`` and ``redcap`` are made of all notes at
    once. ``made_by`` names prompts and backbone.

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
        made: tuple[Mapping[str, type], Iterable[Row]]
        if layout == "long":
            made = LONG, long_rows(pairs, model=model, lost=lost)
        elif layout == "wide":
            made = _kinds(*wide_rows(list(pairs), model=model, lost=lost))
        else:
            made = _kinds(*redcap_rows(list(pairs), model=model, codes=codes or {}, evidence=evidence, lost=lost))
        kinds, rows = made
        write_rows(rows, kinds, part, as_csv=path.suffix.lower() == ".csv")
    return {kind: count for kind, count in sorted(lost.items()) if count}


def _kinds(columns: Sequence[str], rows: Sequence[Row]) -> tuple[dict[str, type], Sequence[Row]]:
    """The columns with what they hold, which only all rows tell, and the rows."""
    kinds = {name: int if any(isinstance(row.get(name), int) for row in rows) else str for name in columns}
    return kinds, rows
