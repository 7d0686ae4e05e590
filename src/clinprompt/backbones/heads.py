"""The scorers of reading comprehension: first tokens, last tokens, and which of them match; one set per member.

As in arXiv 2310.06239 after 1910.11476, for states h ``[H]``: the logits of a first and a last token are linear, that
of the pair (i, j) is ``match_out · gelu(match_in · [h_i; h_j] + b) + b``. The loss of a question is
``(start + end + 0.1 · match) / 2.1``, each a mean of binary cross-entropies: over the context's tokens, and over the
pairs of likely and true first and last tokens.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits, gelu

from clinprompt.backbones.protocol import ReadingRow
from clinprompt.maths.span_decoding import pairs_of

Heads = Mapping[str, Tensor]

MATCH_WEIGHT = 0.1
"""Weight of the match loss beside 1 for first and 1 for last tokens."""

EDGE_START = -4.0
"""Logit of every token at the start: as most tokens border no answer, training begins from "no" (Lin et al. 2017,
arXiv 1708.02002, section 3.3)."""

MOST_PAIRS = 512
"""Pairs of a question that its match loss looks at: the true ones and then the likeliest."""

_AT_ONCE = 4096
"""Pairs whose hidden numbers are held together when nothing is trained."""


def new_heads(members: int, hidden: int, width: int, seed: int) -> dict[str, Tensor]:
    """Fresh heads on states of ``hidden`` numbers with ``width`` numbers inside the matcher, float32.

    All members start with the same values: those that each would have alone. Weights are drawn with the standard
    deviation 0.02 of BERT; biases are 0, those of first and last tokens ``EDGE_START``.
    """
    draw = torch.Generator().manual_seed(seed)
    shapes = {"edges": (2, hidden), "match_in": (width, 2 * hidden), "match_out": (width,)}
    heads = {name: torch.randn(shape, generator=draw) * 0.02 for name, shape in shapes.items()}
    heads |= {
        "edge_bias": torch.full((2,), EDGE_START),
        "match_in_bias": torch.zeros(width),
        "match_out_bias": torch.zeros(()),
    }
    return {name: value.expand(members, *value.shape).clone() for name, value in heads.items()}


def edge_logits(states: Float[Tensor, "A H"], member: Int[Tensor, " A"], heads: Heads) -> Float[Tensor, "A 2"]:
    """Logits of being a first and a last token, each token with its member's scorer."""
    M = len(heads["edges"])
    # All members' scorers at once: M is small, and a copy of the scorer per token would be as large as the states.
    of_all = torch.einsum("ah,meh->ame", states, heads["edges"].to(states.dtype)) + heads["edge_bias"].to(states.dtype)
    return of_all[:, 0] if M == 1 else of_all[torch.arange(len(states), device=states.device), member]


def match_logits(
    states: Float[Tensor, "A H"], pairs: Int[Tensor, "K 2"], member: Int[Tensor, " K"], heads: Heads
) -> Float[Tensor, " K"]:
    """Logits that token ``pairs[k, 0]`` and token ``pairs[k, 1]`` bound one answer, with the scorer of ``member[k]``.

    The first layer is applied once per token, not once per pair: it is a sum of a part for each of the two.
    """
    H = states.shape[1]
    logits = states.new_zeros(len(pairs))
    for m in member.unique().tolist():
        part = {name: heads[name][m].to(states.dtype) for name in heads}
        mine = (member == m).nonzero().flatten()
        sides = []
        for side in (0, 1):
            tokens, place = pairs[mine, side].unique(return_inverse=True)
            sides.append((states[tokens] @ part["match_in"][:, side * H : (side + 1) * H].T, place))
        (left, i), (right, j) = sides
        found = [
            gelu(left[i[some]] + right[j[some]] + part["match_in_bias"]) @ part["match_out"] + part["match_out_bias"]
            for some in torch.arange(len(mine), device=states.device).split(_AT_ONCE)
        ]
        logits = logits.index_put((mine,), torch.cat(found))
    return logits


def question_losses(
    states: Float[Tensor, "A H"],
    edges: Float[Tensor, "A 2"],
    counted: Bool[Tensor, " A"],
    rows: Sequence[ReadingRow],
    members: Sequence[int],
    heads: Heads,
) -> Float[Tensor, " B"]:
    """The loss of each question, from the states and edge logits of all rows' context tokens side by side.

    ``counted`` leaves marks out. A context without a counted token has the loss 0.
    """
    losses, pairs, wanted, of_row = [], [], [], []
    start = 0
    for b, row in enumerate(rows):
        stop = start + row.last - row.first
        logits, inside = edges[start:stop], counted[start:stop]
        truth = torch.zeros_like(logits)
        for side in (0, 1):
            truth[[gold[side] for gold in row.gold], side] = 1
        each = binary_cross_entropy_with_logits(logits, truth, reduction="none") * inside[:, None]
        losses.append(each.sum() / inside.sum().clamp_min(1))
        found, true = matched_pairs(logits.detach(), truth.bool(), inside, row.gold)
        pairs.append(found + start)
        wanted.append(true)
        of_row += [b] * len(found)
        start = stop
    row_of = torch.tensor(of_row, dtype=torch.long, device=edges.device)
    member = torch.tensor(list(members), device=edges.device)[row_of]
    logits = match_logits(states, torch.cat(pairs), member, heads)
    each = binary_cross_entropy_with_logits(logits, torch.cat(wanted).to(logits.dtype), reduction="none")
    sums = each.new_zeros(len(rows)).index_add(0, row_of, each)
    match = sums / row_of.bincount(minlength=len(rows)).clamp_min(1)
    return (torch.stack(losses) + MATCH_WEIGHT * match) / (2 + MATCH_WEIGHT)


def matched_pairs(
    edges: Float[Tensor, "T 2"],
    truth: Bool[Tensor, "T 2"],
    counted: Bool[Tensor, " T"],
    gold: Sequence[tuple[int, int]],
) -> tuple[Int[Tensor, "K 2"], Bool[Tensor, " K"]]:
    """The pairs of one question that its match loss is over, and which of them are answers.

    All pairs i <= j of likely (logit above 0) or true first and last tokens; of more than ``MOST_PAIRS`` the answers
    and then those with the highest sum of logits.
    """
    marked = ((edges > 0) | truth) & counted[:, None]
    pairs = pairs_of(marked[:, 0], marked[:, 1])
    answers = torch.zeros(len(edges), len(edges), dtype=torch.bool, device=edges.device)
    for first, last in gold:
        answers[first, last] = True
    wanted = answers[pairs[:, 0], pairs[:, 1]]
    if len(pairs) > MOST_PAIRS:
        likely = edges[pairs[:, 0], 0] + edges[pairs[:, 1], 1]
        best = likely.masked_fill(wanted, torch.inf).argsort(descending=True, stable=True)[:MOST_PAIRS]
        best = best.sort().values
        pairs, wanted = pairs[best], wanted[best]
    return pairs, wanted
