"""Tables for statistics programs and registries: CSV or Parquet; long, wide, or REDCap's import form."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from clinprompt.data.answered import Answers, again, answered, made_by
from clinprompt.data.atomic import new_file
from clinprompt.data.table_rows import (
    LONG,
    checked_codes,
    long_rows,
    redcap_columns,
    redcap_rows,
    wide_columns,
    wide_rows,
)
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
    codes: Mapping[str, str | int] | None = None,
    evidence: bool = True,
) -> dict[str, int]:
    """Write a ``.csv`` or ``.parquet`` file and return what the layout does not hold, counted.

    ``long`` has a row per span, relation and answer, ``wide`` one per document with counts and words by label,
    ``redcap`` a row per instance of the repeating instruments mention, relation and answer of a record (the
    patient). ``codes`` maps labels to the choice codes of a REDCap data dictionary, ``evidence`` keeps the
    places of mentions there. No layout holds the text; ``wide`` and ``redcap`` go through the documents twice,
    for the columns and for the rows, and hold what can be read only once. ``made_by`` names prompts and backbone.

    Raises :class:`InputError` for another ending or layout, and when the file is there already.
    """
    path = Path(path)
    if path.suffix.lower() not in SUFFIXES or layout not in LAYOUTS:
        raise InputError(
            "the table has another form", where=str(path), allowed=f"{', '.join(SUFFIXES)}; layout {', '.join(LAYOUTS)}"
        )
    choices = checked_codes(codes or {})
    lost: Counter[str] = Counter()
    model = made_by(provenance)
    pairs = answered(documents, answers) if layout == "long" else again(documents, answers)
    with new_file(path, overwrite=overwrite) as part:
        kinds: Mapping[str, type] = LONG
        if layout == "long":
            rows = long_rows(pairs, model=model, lost=lost)
        elif layout == "wide":
            kinds = wide_columns(pairs)
            rows = wide_rows(pairs, kinds, model=model, lost=lost)
        else:
            kinds = redcap_columns(pairs, evidence=evidence)
            rows = redcap_rows(pairs, kinds, model=model, codes=choices, lost=lost)
        write_rows(rows, kinds, part, as_csv=path.suffix.lower() == ".csv")
    return {kind: count for kind, count in sorted(lost.items()) if count}
