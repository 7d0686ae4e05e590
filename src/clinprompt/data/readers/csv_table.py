"""CSV, TSV and Parquet tables of any shape, turned into examples by naming their columns."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Unpack

from clinprompt.data.faults import Faults
from clinprompt.data.fields import FieldNames, Fields, example_of, items_of
from clinprompt.data.files import files_below
from clinprompt.data.naming import note_name
from clinprompt.data.stream import Stream
from clinprompt.data.tables import PARQUET, records_of, rows_of
from clinprompt.schema.document import Document
from clinprompt.schema.example import Example

SUFFIXES = (".csv", ".tsv", *PARQUET)


def read(
    path: Path | None,
    *,
    delimiter: str = "",
    header: bool = True,
    quotes: bool = True,
    **named: Unpack[FieldNames],
) -> list[Document] | list[Example]:
    """One :class:`Example` per row of a file or of the files of a folder.

    Columns are named by the header, or by their numbers from 1 as text (``"1"``) when ``header`` is false.
    ``delimiter`` is one character or ``tab``; by default a tab for ``.tsv`` and a comma otherwise. With
    ``quotes`` false a quotation mark is an ordinary character and every line is a row. Of a Parquet file the
    columns have their own names and types. With ``note`` alone (and ``id``, ``group``) the rows are notes, as
    :class:`Document`. Rows with the same note are one group unless ``group`` names another. ``named`` are the
    options of :class:`clinprompt.data.fields.Fields`.

    Raises one :class:`InputError` that lists all rows that cannot be read.
    """
    return list(stream(path, delimiter=delimiter, header=header, quotes=quotes, **named))  # type: ignore[return-value]


def stream(
    path: Path | None, *, delimiter: str = "", header: bool = True, quotes: bool = True, **named: Unpack[FieldNames]
) -> Stream[Document] | Stream[Example]:
    """What :func:`read` reads, one row after the other."""
    fields = Fields(**named)
    rows = Stream(lambda: _examples(path, fields, delimiter=delimiter, header=header, quotes=quotes))
    return items_of(rows, fields)


def _examples(
    path: Path | None, fields: Fields, *, delimiter: str, header: bool, quotes: bool
) -> Iterator[Example]:  # fmt: skip
    faults = Faults(one_by_one=True)
    for file in files_below(path, reader="csv_table", suffixes=SUFFIXES):
        name = note_name(file, Path(path))  # type: ignore[arg-type]
        with faults.gathered():
            binary = file.suffix.lower() in PARQUET
            rows = records_of(file) if binary else rows_of(file, delimiter=delimiter, header=header, quotes=quotes)
            for number, row in rows:
                with faults.gathered():
                    where = f"{file} {'row' if binary else 'line'} {number}"
                    yield example_of(row, fields, fallback_id=f"{name}-{number}", where=where)
    faults.raise_all()
