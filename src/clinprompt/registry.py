"""Names to parts: lazy tables of ``name -> "module:attribute"`` that answer misspellings with near matches."""

from __future__ import annotations

import difflib
import importlib
from collections.abc import Iterator, Mapping
from typing import Any

from clinprompt.errors import InputError


class Registry(Mapping[str, Any]):
    """A read-only table of parts of one kind, each imported when first asked for.

    >>> tables = Registry("format", {"json": "json:loads"})
    >>> tables["json"]("[1]")
    [1]
    """

    def __init__(self, kind: str, rows: Mapping[str, str]) -> None:
        self.kind = kind
        self.rows = dict(rows)

    def __getitem__(self, name: str) -> Any:
        if name not in self.rows:
            raise unknown_name(self.kind, name, self.rows)
        module, _, attribute = self.rows[name].partition(":")
        return getattr(importlib.import_module(module), attribute)

    def __contains__(self, name: object) -> bool:
        return name in self.rows

    def __iter__(self) -> Iterator[str]:
        return iter(self.rows)

    def __len__(self) -> int:
        return len(self.rows)


def unknown_name(kind: str, name: str, known: Mapping[str, Any] | list[str], *, where: str = "") -> InputError:
    """The error for a name that is in no table, with the near matches first."""
    near = difflib.get_close_matches(name, list(known), n=3, cutoff=0.5)
    hint = f"did you mean {' or '.join(near)}?" if near else ""
    return InputError(f"there is no {kind} named {name!r}", where=where, allowed=", ".join(known), fix=hint)
