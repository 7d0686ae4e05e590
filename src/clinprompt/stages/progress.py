"""How a stage says how far it is: a named bar with a total, advanced step by step."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

Advance = Callable[..., Any]
"""``advance(steps, **values)``: so many steps more are done; values stand beside the bar."""

Progress = Callable[[str, int | None], AbstractContextManager[Advance]]
"""``with progress("teach", 300) as advance: advance(1, loss=0.2)``."""


@contextmanager
def silent(name: str, total: int | None) -> Iterator[Advance]:
    """Progress that nobody watches."""
    yield lambda steps=1, **values: None
