"""The faults of many files or lines, gathered so that one look at the message mends them all."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from clinprompt.errors import InputError, InputErrors, raise_all

_hears: ContextVar[Callable[[InputError], None] | None] = ContextVar("hears", default=None)


class Faults:
    """A list of faults that reading goes on after; :meth:`raise_all` ends the reading when there is any.

    With ``one_by_one`` each is the fault of a record that is left out, which :func:`heard` may hear instead.
    """

    def __init__(self, *, one_by_one: bool = False) -> None:
        self.found: list[InputError] = []
        self.one_by_one = one_by_one

    @contextmanager
    def gathered(self) -> Iterator[None]:
        """Keep the :class:`InputError` that the block raises instead of letting it through."""
        try:
            yield
        except InputError as fault:
            hear = _hears.get() if self.one_by_one else None
            if hear is not None:
                hear(fault)
            else:
                self.found += fault.faults if isinstance(fault, InputErrors) else [fault]

    def raise_all(self) -> None:
        """Raise what was gathered, if anything."""
        raise_all(self.found)


@contextmanager
def heard(hear: Callable[[InputError], None]) -> Iterator[None]:
    """In the block a record that cannot be read does not end the reading: ``hear`` is told of its fault."""
    token = _hears.set(hear)
    try:
        yield
    finally:
        _hears.reset(token)


@contextmanager
def heard_later() -> Iterator[None]:
    """In the block faults that someone hears are passed over, as the same records are read once more afterwards."""
    if _hears.get() is None:
        yield
        return
    with heard(lambda fault: None):
        yield
