"""Rows of a delimited text file or a Parquet file, each with its line or its number."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Any

from clinprompt.data.files import opened_text, without_mark
from clinprompt.errors import InputError

LONGEST_CELL = 50_000_000
"""Characters; the csv module's own limit (131,072) is shorter than some notes."""


BATCH, BUFFER = 512, 2**18
"""Rows and bytes of a Parquet file that are read at a time."""
PIECE = 2**14
"""Rows of a Parquet file that are written at a time."""
PARQUET = (".parquet", ".pq")


def records_of(file: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """(row number from 1, column name to value) of each row of a Parquet file; :class:`InputError` for any other."""
    import pyarrow as pa  # a fifth of a second that text files do not need
    import pyarrow.parquet as pq

    try:
        # Without its read-ahead, which would hold a whole row group.
        with pq.ParquetFile(file, pre_buffer=False, buffer_size=BUFFER) as opened:
            number = 0
            for batch in opened.iter_batches(batch_size=BATCH):
                for row in batch.to_pylist():
                    number += 1
                    yield number, row
    except pa.ArrowInvalid:
        raise InputError("this is not a Parquet file, or it is damaged", where=str(file)) from None


def rows_of(
    file: Path, *, delimiter: str = "", header: bool = True, quotes: bool = True
) -> Iterator[tuple[int, dict[str, str]]]:
    """(line number, column name to cell) of each row; columns are named "1", "2", … without a header.

    Line breaks inside a quoted cell are kept as they are. Raises :class:`InputError` for an empty or repeated
    column name, a row of another length than the first, and a quotation mark that is never closed.
    """
    mark = {"": "\t" if file.suffix.lower() == ".tsv" else ",", "tab": "\t"}.get(delimiter, delimiter)
    if len(mark) != 1 or mark in '\r\n"':
        raise InputError("the option delimiter is not usable", allowed="one character, or tab")
    csv.field_size_limit(LONGEST_CELL)
    quoting = csv.QUOTE_MINIMAL if quotes else csv.QUOTE_NONE
    with opened_text(file, newline="") as stream:
        # Strict: a quotation mark left open would swallow the rest of the file as one cell.
        table = csv.reader(without_mark(stream), delimiter=mark, quoting=quoting, strict=quotes)
        yield from _rows(table, file, header=header)


def _rows(table: Any, file: Path, *, header: bool) -> Iterator[tuple[int, dict[str, str]]]:
    names: list[str] = []
    line = 1
    while True:
        try:
            cells = next(table, None)
        except csv.Error:
            raise InputError(
                "the quotation marks of the row do not pair",
                where=f"{file} line {line}",
                fix="correct the row, or set quotes: false if quotation marks are ordinary characters",
            ) from None
        if cells is None:
            return
        begins, line = line, table.line_num + 1
        if not cells:
            continue
        if not names:
            names = cells if header else [str(place) for place in range(1, len(cells) + 1)]
            if len(set(names)) != len(names):
                raise InputError("two columns have the same name", where=f"{file} line {begins}")
            if header:
                continue
        if len(cells) != len(names):
            raise InputError(
                f"the row has {len(cells)} cells, the first has {len(names)}", where=f"{file} line {begins}"
            )
        yield begins, dict(zip(names, cells, strict=True))


def write_rows(rows: Iterable[Mapping[str, Any]], kinds: Mapping[str, type], file: Path, *, as_csv: bool) -> None:
    """Write rows as they come to a CSV or Parquet file with these columns, each of ``int`` or ``str``."""
    if as_csv:
        with file.open("w", encoding="utf-8", newline="") as stream:
            table = csv.DictWriter(stream, kinds, lineterminator="\n")
            table.writeheader()
            table.writerows(rows)
        return
    import pyarrow as pa
    import pyarrow.parquet as pq

    schema = pa.schema([(name, pa.int64() if kind is int else pa.string()) for name, kind in kinds.items()])
    left = iter(rows)
    with pq.ParquetWriter(file, schema) as opened:
        while piece := list(islice(left, PIECE)):
            opened.write_table(pa.Table.from_pylist(piece, schema=schema))
