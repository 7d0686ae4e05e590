"""A half-open range of rows, for corpora that come without parts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

from clinprompt.errors import InputError

Row = TypeVar("Row")


def cut_rows(rows: Sequence[Row], cut: Sequence[int]) -> list[Row]:
    """``rows[first:last]``; :class:`InputError` unless ``cut`` is two numbers within the rows."""
    if len(cut) != 2 or not 0 <= cut[0] < cut[1] <= len(rows):
        raise InputError(f"the option cut is {list(cut)}", allowed=f"first < last within 0-{len(rows)}")
    return list(rows[cut[0] : cut[1]])
