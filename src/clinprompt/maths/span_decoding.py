"""From logits of first tokens, last tokens and pairs of them to spans, nested and overlapping ones too.

As in the reading comprehension of arXiv 1910.11476 and 2310.06239: a pair i <= j is a span when i is likely a first
token, j a last one, and the two match, each with a logit above 0 (probability above one half).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

Scored = tuple[int, int, float]
"""First token, last token (inclusive) and match logit of a span."""

LIKELY = 24
"""First and last tokens of a question that are looked at where the border of yes and no is chosen."""


def pairs_of(first: Bool[Tensor, " T"], last: Bool[Tensor, " T"]) -> Int[Tensor, "K 2"]:
    """Every pair i <= j of a marked first and a marked last token, in the order of i, then of j.

    >>> pairs_of(torch.tensor([True, False, True]), torch.tensor([True, True, False])).tolist()
    [[0, 0], [0, 1]]
    """
    starts, ends = first.nonzero().flatten(), last.nonzero().flatten()
    pairs = torch.cartesian_prod(starts, ends).reshape(-1, 2)
    return pairs[pairs[:, 0] <= pairs[:, 1]]


def candidates(edges: Float[Tensor, "T 2"], counted: Bool[Tensor, " T"]) -> Int[Tensor, "K 2"]:
    """The pairs i <= j whose first and last logits are both above 0, among the tokens that are ``counted``."""
    likely = (edges > 0) & counted[:, None]
    return pairs_of(likely[:, 0], likely[:, 1])


def likely_pairs(edges: Float[Tensor, "T 2"], *, most: int = LIKELY) -> Int[Tensor, "K 2"]:
    """The pairs i <= j of the ``most`` likeliest first and as many last tokens, without those at -inf."""
    marked = torch.zeros_like(edges, dtype=torch.bool)
    best = edges.topk(min(most, len(edges)), dim=0).indices
    marked.scatter_(0, best, True)
    marked &= edges > -torch.inf
    return pairs_of(marked[:, 0], marked[:, 1])


def decode(pairs: Int[Tensor, "K 2"], match: Float[Tensor, " K"], *, flat: bool = False) -> list[Scored]:
    """The pairs that match (logit above 0), in text order; ``flat`` keeps of overlapping ones the best.

    The best is the one with the highest match logit, of equal ones the first in the text, then the longest.
    """
    kept = match > 0
    scored = zip(pairs[kept].tolist(), match[kept].tolist(), strict=True)
    spans = [(first, last, score) for (first, last), score in scored]
    return sorted(apart(spans) if flat else spans)


def apart(spans: Sequence[Scored]) -> list[Scored]:
    """Spans none of which shares a token with another, taken greedily from the best down."""
    kept: list[Scored] = []
    for span in sorted(spans, key=lambda span: (-span[2], span[0], -span[1])):
        if all(span[1] < other[0] or other[1] < span[0] for other in kept):
            kept.append(span)
    return kept
