"""How far two distributions of words are apart."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from scipy.special import rel_entr

from clinprompt.errors import InputError


def jensen_shannon(first: Mapping[str, int], second: Mapping[str, int]) -> float:
    """The Jensen-Shannon divergence of two counts of words, in bits: 0 for the same shares, 1 without a common word.

    The mean of KL(p‖m) and KL(q‖m) with m = (p + q) / 2 (Lin, IEEE Transactions on Information Theory 37, 1991); no
    square root is taken. Raises :class:`InputError` for counts of nothing.

    >>> jensen_shannon({"fever": 3}, {"cough": 5})
    1.0
    >>> round(jensen_shannon({"fever": 1, "cough": 1}, {"fever": 1}), 4)
    0.3113
    """
    words = sorted({*first, *second})  # in one order: sums do not depend on how words are hashed
    counts = [np.array([side.get(word, 0) for word in words], dtype=np.float64) for side in (first, second)]
    if any(not side.sum() for side in counts):
        raise InputError("a text without words has no distribution of words")
    p, q = (side / side.sum() for side in counts)
    middle = (p + q) / 2
    bits = float((rel_entr(p, middle).sum() + rel_entr(q, middle).sum()) / (2 * np.log(2)))
    return min(1.0, max(0.0, bits))
