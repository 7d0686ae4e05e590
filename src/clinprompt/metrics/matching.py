"""One-to-one matching of predicted and gold items: as many pairs as can be, whatever the order."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

import numpy as np
from scipy.sparse import csr_matrix
from scipy.sparse.csgraph import maximum_bipartite_matching

from clinprompt.schema.document import Fragment

Item = TypeVar("Item")


def matched(gold: Sequence[Item], predicted: Sequence[Item], fits: Callable[[Item, Item], bool]) -> int:
    """The largest number of pairs (gold, predicted) that fit, each item used once.

    Not greedy: an earlier overlap never takes the gold item that a later prediction alone could match.
    """
    fitting = np.array([[fits(one, other) for other in predicted] for one in gold], dtype=bool)
    if not fitting.any():
        return 0
    return int((maximum_bipartite_matching(csr_matrix(fitting), perm_type="column") >= 0).sum())


def overlap(one: tuple[Fragment, ...], other: tuple[Fragment, ...]) -> bool:
    """Whether two spans share a character; the gap inside a discontinuous span belongs to nobody."""
    return any(start < stop and begin < end for start, end in one for begin, stop in other)
