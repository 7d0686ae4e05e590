"""Beam search: several unfinished answers per row side by side, all on the states of one note and prompt."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from clinprompt.backbones.causal import CausalBackbone
from clinprompt.backbones.decoding import Decoding, Line
from clinprompt.backbones.protocol import Generation, RawAnswer
from clinprompt.inference.constraint import Constraint, allowed_tokens
from clinprompt.inference.draft import Draft


@dataclass(slots=True)
class _Search:
    """One row's search: what its beams have written and may go on with, and finished answers with their scores."""

    beams: list[list[int]]
    constraints: list[Constraint | None]
    done: list[tuple[float, list[int]]] = field(default_factory=list)
    over: bool = False

    def keep(self, score: float, tokens: list[int], most: int) -> None:
        """Add a finished answer; only the best ``most`` are kept, the earlier of equals."""
        self.done = sorted([*self.done, (score, tokens)], key=lambda item: -item[0])[:most]


def search(
    backbone: CausalBackbone,
    logits: Tensor,
    lines: Sequence[Line],
    generation: Generation,
    *,
    constraints: Sequence[Constraint | None] = (),
) -> list[RawAnswer]:
    """The best answer of each row from the logits ``[G, V]`` of its first token and its line.

    As transformers' beam search without early stopping: a beam that ends among the best ``W`` candidates is finished,
    the best ``W`` that go on are kept, and the search is over when none of them, as long as it is now, scores better
    than the worst of ``W`` finished ones. Tokens that a row's constraint forbids have the score minus infinity, the
    others keep theirs; where fewer beams than ``W`` can go on, the places of the others stay empty.
    """
    W, G, device = generation.beams, len(lines), backbone.device
    ends = torch.tensor(sorted(backbone.stops), device=device)
    candidates = (1 + len(ends)) * W
    given = constraints or [None] * G
    searches = [_Search([[] for _ in range(W)], [_forked(one) for _ in range(W)]) for one in given]
    trunks = [torch.cat([line.trunk, line.own], dim=3) for line in lines]
    empty = [trunk[:, :, :, :0] for trunk in trunks]
    decoding = Decoding([Line(trunks[g], empty[g]) for g in range(G) for _ in range(W)], device=device)
    order = decoding.order
    place = sorted(range(len(order)), key=order.__getitem__)
    # At first all beams of a row are the same: only one of them may go on.
    scores = torch.full((G, W), -torch.inf, dtype=torch.float64, device=device)
    scores[:, 0] = 0.0
    logits = logits[:, None].expand(G, W, -1)
    for length in range(1, generation.tokens + 1):
        V = logits.shape[-1]
        total = scores[:, :, None] + logits.double().log_softmax(dim=-1)
        if any(one is not None for one in given):
            may = allowed_tokens([one for search in searches for one in search.constraints], V, device=device)
            total = total.masked_fill(~may.view(G, W, V), -torch.inf)
        best, places = total.flatten(1).topk(min(candidates, W * V), dim=1)
        last = length == generation.tokens
        source, tokens, kept = _advance(searches, best, places, V, set(ends.tolist()), length, last, generation)
        if last or all(one.over for one in searches):
            break
        scores = torch.tensor(kept, dtype=torch.float64, device=device)
        decoding.reorder([place[source[i]] for i in order])
        laid = torch.tensor([tokens[i] for i in order], device=device)
        logits = backbone.step(decoding, laid)[place].view(G, W, -1)
    return [_answer(backbone, one, generation, given[g]) for g, one in enumerate(searches)]


def _advance(
    searches: Sequence[_Search],
    best: Tensor,
    places: Tensor,
    V: int,
    ends: set[int],
    length: int,
    last: bool,
    generation: Generation,
) -> tuple[list[int], list[int], list[list[float]]]:
    """Sort each row's candidates into finished ones and beams; returns the beams' sources, tokens and scores."""
    W, norm = generation.beams, length**generation.length_penalty
    source: list[int] = []
    tokens: list[int] = []
    kept: list[list[float]] = []
    for g, (one, values, at) in enumerate(zip(searches, best.tolist(), places.tolist(), strict=True)):
        going: list[tuple[float, int, int]] = []
        for rank, (score, place) in enumerate(zip(values, at, strict=True)):
            if score == -math.inf:
                break
            beam, token = divmod(place, V)
            ended = token in ends or last
            if ended and rank < W and not one.over:
                one.keep(score / norm, [*one.beams[beam], token], W)
            if token not in ends and len(going) < W:
                going.append((score, beam, token))
        empty = W - len(going)
        going += [(-math.inf, 0, min(ends))] * empty
        one.constraints = _advanced(one.constraints, going)
        one.beams = [[*one.beams[beam], token] for _, beam, token in going]
        source += [g * W + beam for _, beam, _ in going]
        tokens += [token for _, _, token in going]
        kept.append([score for score, _, _ in going])
        one.over |= empty == W or (len(one.done) == W and going[0][0] / norm <= one.done[-1][0])
    return source, tokens, kept


def _forked(constraint: Constraint | None) -> Constraint | None:
    return None if constraint is None else constraint.fork()


def _advanced(
    constraints: Sequence[Constraint | None], going: Sequence[tuple[float, int, int]]
) -> list[Constraint | None]:
    """The constraints of the beams that go on, one token on; an empty place needs none."""
    real = [None if score == -math.inf else beam for score, beam, _ in going]
    further = [None if beam is None else constraints[beam] for beam in real]
    further = [_forked(one) if real.count(beam) > 1 else one for one, beam in zip(further, real, strict=True)]
    for one, (_, _, token) in zip(further, going, strict=True):
        if one is not None:
            one.advance(token)
    return further


def _answer(
    backbone: CausalBackbone, found: _Search, generation: Generation, constraint: Constraint | None
) -> RawAnswer:
    """The best answer, cut where it first ends."""
    draft = Draft(generation, constraint)
    for token in found.done[0][1]:
        if (answer := draft.add(backbone, token)) is not None:
            return answer
    raise AssertionError("a search ends with an end token or at the limit")
