"""Beam search: several unfinished answers per row side by side, all on the states of one note and prompt."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from clinprompt.backbones.causal import CausalBackbone
from clinprompt.backbones.decoding import Decoding, Line
from clinprompt.backbones.protocol import Generation, RawAnswer
from clinprompt.inference.greedy import finished


@dataclass(slots=True)
class _Search:
    """One row's search: what its beams have written, and finished answers with their scores."""

    beams: list[list[int]]
    done: list[tuple[float, list[int]]] = field(default_factory=list)
    over: bool = False

    def keep(self, score: float, tokens: list[int], most: int) -> None:
        """Add a finished answer; only the best ``most`` are kept, the earlier of equals."""
        self.done = sorted([*self.done, (score, tokens)], key=lambda item: -item[0])[:most]


def search(backbone: CausalBackbone, logits: Tensor, lines: Sequence[Line], generation: Generation) -> list[RawAnswer]:
    """The best answer of each row from the logits ``[G, V]`` of its first token and its line.

    As transformers' beam search without early stopping: a beam that ends among the best ``W`` candidates is finished,
    the best ``W`` that go on are kept, and the search is over when none of them, as long as it is now, scores better
    than the worst of ``W`` finished ones.
    """
    W, G, device = generation.beams, len(lines), backbone.device
    ends = torch.tensor(sorted(backbone.stops), device=device)
    candidates = (1 + len(ends)) * W
    searches = [_Search([[] for _ in range(W)]) for _ in range(G)]
    trunks = [torch.cat([line.trunk, line.own], dim=3) for line in lines]
    empty = [trunk[:, :, :, :0] for trunk in trunks]
    decoding = Decoding([Line(trunks[g], empty[g]) for g in range(G) for _ in range(W)], device=device)
    # At first all beams of a row are the same: only one of them may go on.
    scores = torch.full((G, W), -1e9, dtype=torch.float64, device=device)
    scores[:, 0] = 0.0
    logits = logits[:, None].expand(G, W, -1)
    for length in range(1, generation.tokens + 1):
        V = logits.shape[-1]
        total = scores[:, :, None] + logits.double().log_softmax(dim=-1)
        best, places = total.flatten(1).topk(min(candidates, W * V), dim=1)
        last = length == generation.tokens
        source, tokens, kept = _advance(searches, best, places, V, set(ends.tolist()), length, last, generation)
        if last or all(one.over for one in searches):
            break
        scores = torch.tensor(kept, dtype=torch.float64, device=device)
        decoding.reorder(source)
        logits = backbone.step(decoding, torch.tensor(tokens, device=device)).view(G, W, -1)
    return [_answer(backbone, one.done[0][1], generation) for one in searches]


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
            beam, token = divmod(place, V)
            ended = token in ends or last
            if ended and rank < W and not one.over:
                one.keep(score / norm, [*one.beams[beam], token], W)
            if token not in ends and len(going) < W:
                going.append((score, beam, token))
        one.beams = [[*one.beams[beam], token] for _, beam, token in going]
        source += [g * W + beam for _, beam, _ in going]
        tokens += [token for _, _, token in going]
        kept.append([score for score, _, _ in going])
        one.over |= len(one.done) == W and going[0][0] / norm <= one.done[-1][0]
    return source, tokens, kept


def _answer(backbone: CausalBackbone, tokens: list[int], generation: Generation) -> RawAnswer:
    """The answer cut where it first ends."""
    for length in range(1, len(tokens)):
        if (found := finished(backbone, tokens[:length], generation)) is not None:
            return found
    found = finished(backbone, tokens, generation)
    assert found is not None  # a search ends with an end token or at the limit
    return found
