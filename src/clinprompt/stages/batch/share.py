"""One share of a run's shards: the third of eight processes takes every eighth shard, from the third on."""

from __future__ import annotations

import re
from dataclasses import dataclass

from clinprompt.errors import InputError


@dataclass(frozen=True, slots=True)
class Share:
    """``number`` of ``total``, from 1."""

    number: int
    total: int

    def __str__(self) -> str:
        return f"{self.number}/{self.total}"

    def has(self, shard: int) -> bool:
        """Whether a shard, by its number from 1, is one of this share."""
        return (shard - self.number) % self.total == 0


def share_of(text: str) -> Share | None:
    """The share that ``3/8`` names, ``None`` for an empty text; :class:`InputError` for anything else.

    >>> [shard for shard in range(1, 8) if share_of("2/3").has(shard)]
    [2, 5]
    """
    if not text:
        return None
    found = re.fullmatch(r"(\d+)/(\d+)", text)
    if not found or not 1 <= int(found[1]) <= int(found[2]):
        raise InputError(f"{text!r} is no share of the notes", where="--shard-of", allowed="1/8 to 8/8, for example")
    return Share(int(found[1]), int(found[2]))
