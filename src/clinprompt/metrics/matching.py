"""One-to-one matching of predicted and gold items: as many pairs as can be, whatever the order."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

import numpy as np
from scipy.sparse import csr_matrix
from scipy.sparse.csgraph import maximum_bipartite_matching

from clinprompt.schema.document import Fragment

Item = TypeVar("Item")


def pairs(
    gold: Sequence[Item], predicted: Sequence[Item], fits: Callable[[Item, Item], bool]
) -> list[tuple[Item, Item]]:
    """The most pairs (gold, predicted) that fit, each item used once, in the order of ``gold``.

    Not greedy: an earlier overlap never takes the gold item that a later prediction alone could match.
    """
    fitting = np.array([[fits(one, other) for other in predicted] for one in gold], dtype=bool)
    if not fitting.any():
        return []
    chosen = maximum_bipartite_matching(csr_matrix(fitting), perm_type="column")
    return [(one, predicted[place]) for one, place in zip(gold, chosen, strict=True) if place >= 0]


def matched(gold: Sequence[Item], predicted: Sequence[Item], fits: Callable[[Item, Item], bool]) -> int:
    """The number of :func:`pairs`."""
    return len(pairs(gold, predicted, fits))


def overlap(one: tuple[Fragment, ...], other: tuple[Fragment, ...]) -> bool:
    """Whether two spans share a character; the gap inside a discontinuous span belongs to nobody."""
    return any(start < stop and begin < end for start, end in one for begin, stop in other)


def shared(one: tuple[Fragment, ...], other: tuple[Fragment, ...]) -> int:
    """How many characters two spans share."""
    return sum(max(0, min(end, stop) - max(start, begin)) for start, end in one for begin, stop in other)
