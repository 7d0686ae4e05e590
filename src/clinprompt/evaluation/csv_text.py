"""Records as CSV text."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import asdict, fields
from typing import Any


def csv_text(records: Sequence[Any], *, kind: type) -> str:
    """Records of the dataclass ``kind`` as CSV with a header.

    Numbers have two decimals, or as many as the field's metadata ``digits`` says.
    """
    text = io.StringIO()
    digits = {field.name: field.metadata.get("digits", 2) for field in fields(kind)}
    writer = csv.DictWriter(text, fieldnames=list(digits), lineterminator="\n")
    writer.writeheader()
    for record in records:
        row = asdict(record)
        writer.writerow(
            {key: f"{value:z.{digits[key]}f}" if isinstance(value, float) else value for key, value in row.items()}
        )
    return text.getvalue()
