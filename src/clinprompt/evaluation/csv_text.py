"""Records as CSV text."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import asdict, fields
from typing import Any


def csv_text(records: Sequence[Any], *, kind: type, leave_out: Sequence[str] = ()) -> str:
    """Records of the dataclass ``kind`` as CSV with a header, without the fields to ``leave_out``.

    Numbers have two decimals, or as many as the field's metadata ``digits`` says.
    """
    text = io.StringIO()
    digits = {field.name: field.metadata.get("digits", 2) for field in fields(kind) if field.name not in leave_out}
    writer = csv.DictWriter(text, fieldnames=list(digits), lineterminator="\n")
    writer.writeheader()
    for record in records:
        row = {key: value for key, value in asdict(record).items() if key in digits}
        writer.writerow(
            {key: f"{value:z.{digits[key]}f}" if isinstance(value, float) else value for key, value in row.items()}
        )
    return text.getvalue()
