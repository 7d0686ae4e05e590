"""Records as CSV text."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import asdict, fields
from typing import Any


def csv_text(records: Sequence[Any], *, kind: type) -> str:
    """Records of the dataclass ``kind`` as CSV with a header, numbers with two decimals."""
    text = io.StringIO()
    writer = csv.DictWriter(text, fieldnames=[field.name for field in fields(kind)], lineterminator="\n")
    writer.writeheader()
    for record in records:
        row = asdict(record)
        writer.writerow({key: f"{value:z.2f}" if isinstance(value, float) else value for key, value in row.items()})
    return text.getvalue()
