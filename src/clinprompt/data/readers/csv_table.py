"""CSV and TSV tables of any shape, turned into examples by naming their columns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from clinprompt.data.faults import Faults
from clinprompt.data.fields import Fields, example_of, with_distinct_ids
from clinprompt.data.files import files_below
from clinprompt.data.naming import note_name
from clinprompt.data.tables import rows_of
from clinprompt.schema.example import Example

SUFFIXES = (".csv", ".tsv")


def read(
    path: Path | None,
    *,
    note: str | Sequence[str],
    question: str | Sequence[str] = "",
    hypothesis: str = "",
    options: str | Sequence[str] = "",
    label: str = "",
    text: str = "",
    id: str = "",
    group: str = "",
    key: str = "letter",
    label_map: Mapping[str, str] | None = None,
    delimiter: str = "",
    header: bool = True,
    quotes: bool = True,
) -> list[Example]:
    """One :class:`Example` per row of a file or of the files of a folder.

    Columns are named by the header, or by their numbers from 1 as text (``"1"``) when ``header`` is false.
    ``delimiter`` is one character or ``tab``; by default a tab for ``.tsv`` and a comma otherwise. With
    ``quotes`` false a quotation mark is an ordinary character and every line is a row. For the other
    options see :class:`clinprompt.data.fields.Fields`.

    Raises one :class:`InputError` that lists all rows that cannot be read.
    """
    fields = Fields(
        note=note,
        question=question,
        hypothesis=hypothesis,
        options=options,
        label=label,
        text=text,
        id=id,
        group=group,
        key=key,
        label_map=label_map or {},
    )
    faults, examples = Faults(), []
    for file in files_below(path, reader="csv_table", suffixes=SUFFIXES):
        name = note_name(file, Path(path))  # type: ignore[arg-type]
        with faults.gathered():
            for number, row in rows_of(file, delimiter=delimiter, header=header, quotes=quotes):
                with faults.gathered():
                    where = f"{file} line {number}"
                    examples.append(example_of(row, fields, fallback_id=f"{name}-{number}", where=where))
    faults.raise_all()
    return with_distinct_ids(examples)
