"""The faults of many files or lines, gathered so that one look at the message mends them all."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from clinprompt.errors import InputError, InputErrors, raise_all


class Faults:
    """A list of faults that reading goes on after; :meth:`raise_all` ends the reading when there is any."""

    def __init__(self) -> None:
        self.found: list[InputError] = []

    @contextmanager
    def gathered(self) -> Iterator[None]:
        """Keep the :class:`InputError` that the block raises instead of letting it through."""
        try:
            yield
        except InputErrors as several:
            self.found += several.faults
        except InputError as fault:
            self.found.append(fault)

    def raise_all(self) -> None:
        """Raise what was gathered, if anything."""
        raise_all(self.found)
