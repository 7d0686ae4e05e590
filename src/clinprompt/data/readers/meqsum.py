"""MeQSum: a consumer's health question and its one-line summary, from the authors' workbook."""

from __future__ import annotations

import zipfile
from pathlib import Path

from clinprompt.data.cut import cut_rows
from clinprompt.data.faults import Faults
from clinprompt.data.fields import Fields, example_of, with_distinct_ids
from clinprompt.data.files import one_file
from clinprompt.errors import InputError
from clinprompt.schema.example import Example

COLUMNS = ("File", "CHQ", "Summary")
FIELDS = Fields(note="CHQ", text="Summary", id="File")


def read(path: Path | None, *, cut: tuple[int, int] | None = None) -> list[Example]:
    """Every question as ``note`` with its summary as free text.

    ``cut`` keeps a half-open range of the rows in the order of the sheet, for parts of our own. Raises one
    :class:`InputError` that lists all rows that cannot be read.
    """
    file = one_file(path, reader="meqsum")
    faults, examples = Faults(), []
    for number, cells in enumerate(_rows(file), 1):
        if number == 1 and cells != COLUMNS:
            raise InputError("the sheet has other columns", where=f"{file} row 1", allowed=", ".join(COLUMNS))
        if number == 1 or not any(cells):
            continue
        with faults.gathered():
            row = dict(zip(COLUMNS, cells, strict=True))
            where = f"{file} row {number}"
            examples.append(example_of(row, FIELDS, fallback_id=str(number), where=where))
    faults.raise_all()
    examples = with_distinct_ids(examples)
    return cut_rows(examples, cut) if cut else examples


def _rows(file: Path) -> list[tuple[object, ...]]:
    import openpyxl  # half a second that no other reader needs

    try:
        with file.open("rb") as stream:
            book = openpyxl.load_workbook(stream, read_only=True, data_only=True)
            sheet = book[book.sheetnames[0]]
            rows = list(sheet.iter_rows(max_col=len(COLUMNS), values_only=True))
            book.close()
    except (zipfile.BadZipFile, KeyError, ValueError):
        raise InputError("this is not an Excel workbook", where=str(file), allowed=".xlsx") from None
    return rows
