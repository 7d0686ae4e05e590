"""The table of metrics, in which some rows take an argument after a colon."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from functools import partial
from typing import Any

from clinprompt.registry import Registry


class MetricTable(Registry):
    """A registry in which ``name:argument`` calls the row ``name`` with ``argument``, for the rows that take one.

    A row whose own name has a colon, such as ``span-f1:n2c2-2018``, is a row like any other.
    """

    def __init__(self, rows: Mapping[str, str], *, with_argument: Collection[str]) -> None:
        super().__init__("metric", rows)
        self.with_argument = frozenset(with_argument)

    def __getitem__(self, name: str) -> Any:
        row, _, argument = name.partition(":")
        if argument and row in self.with_argument:
            return partial(super().__getitem__(row), argument=argument)
        return super().__getitem__(name)

    def __contains__(self, name: object) -> bool:
        row, _, argument = str(name).partition(":")
        return name in self.rows or bool(argument and row in self.with_argument)
