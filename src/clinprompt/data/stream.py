"""Records that are read anew each time they are gone through, so that they are never held together."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Generic, TypeVar

Item = TypeVar("Item", covariant=True)


@dataclass(frozen=True, slots=True)
class Stream(Generic[Item]):
    """What ``read`` gives, from the beginning each time.

    >>> squares = Stream(lambda: (number**2 for number in range(3)))
    >>> list(squares), sum(squares)
    ([0, 1, 4], 5)
    """

    read: Callable[[], Iterator[Item]]

    def __iter__(self) -> Iterator[Item]:
        return self.read()
