"""How far a run is: notes done, and how many a second."""

from __future__ import annotations

import time
from collections.abc import Mapping

from clinprompt.stages.progress import Advance


class Meter:
    """Tells ``advance`` of notes; ``sizes`` are the notes of each shard that is to be done."""

    def __init__(self, advance: Advance, sizes: Mapping[int, int]) -> None:
        self._advance, self._sizes = advance, sizes
        self._began = time.monotonic()
        self._before, self._told, self._inside = 0, 0, 0.0

    def further(self, number: int, share: float) -> None:
        """A further share of a shard is done."""
        self._inside = min(self._inside + share * self._sizes[number], self._sizes[number])
        self._tell(int(self._inside))

    def done(self, number: int) -> None:
        """All of a shard is done."""
        self._tell(self._sizes[number])
        self._told, self._inside = 0, 0.0
        self._before += self._sizes[number]

    def _tell(self, inside: int) -> None:
        steps = inside - self._told
        if steps > 0:
            self._told = inside
            rate = (self._before + inside) / max(time.monotonic() - self._began, 1e-9)
            self._advance(steps, **{"notes/s": rate})
