"""An encoder so small that it can be read: each row alone, one token after the other, no tokenizer."""

from __future__ import annotations

import random

import torch
from torch import nn
from torch.nn.functional import binary_cross_entropy_with_logits as bce
from torch.nn.functional import gelu

from clinprompt.backbones.protocol import ReadingOutput, ReadingRow

H, L, V, W = 6, 2, 20, 5


class Mixing(nn.Module):
    """Every token sees every other one."""

    def __init__(self) -> None:
        super().__init__()
        self.own, self.others = nn.Linear(H, H), nn.Linear(H, H)

    def forward(self, states):
        """States of one row, ``[T, H]``."""
        seen = (states @ states.T / H**0.5).softmax(-1) @ states
        return states + (self.own(states) + self.others(seen)).tanh()


class FakeEncoder:
    """What the training loop asks of an encoder: layers 0 (input) to L, prompts behind the first token or at the end."""

    fingerprint, tokens_at_once, hidden_size, n_layers = "fake", 4096, H, L

    def __init__(self, seed=0):
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            self.model = nn.ModuleDict(
                {
                    "words": nn.Embedding(V, H),
                    "places": nn.Embedding(64, H),
                    "layers": nn.ModuleList([Mixing(), Mixing()]),
                }
            ).double()
        self.runs = []
        self.model.requires_grad_(False)

    def note_cache(self):
        """None."""

    def forward(self, rows, prompts, *, hidden_layers=(), notes=None):
        """Losses and edges of each row, computed alone."""
        self.runs.append(len(rows))
        losses, edges, owner, hidden = [], [], [], []
        for b, (row, m) in enumerate(zip(rows, prompts.owners(len(rows)), strict=True)):
            states = self.states(row, prompts, m)
            heads = {name: tensor[m].double() for name, tensor in prompts.heads.items()}
            logits = states[-1] @ heads["edges"].T + heads["edge_bias"]
            losses.append(question_loss(states[-1], logits, heads, row))
            edges.append(logits)
            owner += [b] * len(logits)
            hidden.append(torch.cat([states[layer] for layer in hidden_layers], dim=-1) if hidden_layers else None)
        return ReadingOutput(
            losses=torch.stack(losses),
            row=torch.arange(len(rows)),
            edges=torch.cat(edges),
            owner=torch.tensor(owner),
            hidden=torch.cat(hidden) if hidden_layers else None,
        )

    def states(self, row, prompts, m):
        """The states of the context's tokens, of every layer."""
        own = prompts.vectors[m].double()  # [P, H] or [L, P, H]
        length = prompts.length(m)
        before, after = prompts.placement.split(length)
        first = own if own.ndim == 2 else own[0]
        words = self.model["words"](torch.tensor(row.tokens))
        line = torch.cat([words[:1], first[:before], words[1:], first[before:length]])
        line = line + self.model["places"](torch.arange(len(line)))
        at = torch.arange(row.first, row.last) + before
        slots = torch.tensor([*range(1, 1 + before), *range(len(line) - after, len(line))], dtype=torch.long)
        found = [line[at]]
        for number, layer in enumerate(self.model["layers"]):
            if own.ndim == 3 and number:
                line = line.index_put((slots,), own[number][:length])
            line = layer(line)
            found.append(line[at])
        return found


def question_loss(states, logits, heads, row):
    """(start + end + 0.1 match) / 2.1 over the tokens that have a place; match over all pairs."""
    counted = torch.tensor([i for i, place in enumerate(row.places) if place])
    truth = torch.zeros_like(logits)
    for gold in row.gold:
        truth[gold[0], 0] = truth[gold[1], 1] = 1
    start, end = (bce(logits[counted, side], truth[counted, side]) for side in (0, 1))
    pairs = [(i, j) for i in counted.tolist() for j in counted.tolist() if i <= j]
    both = torch.stack([torch.cat([states[i], states[j]]) for i, j in pairs])
    match = gelu(both @ heads["match_in"].T + heads["match_in_bias"]) @ heads["match_out"] + heads["match_out_bias"]
    wanted = torch.tensor([float(pair in row.gold) for pair in pairs], dtype=match.dtype)
    return (start + end + 0.1 * bce(match, wanted)) / 2.1


def some_heads(n, seed=0, width=W):
    """Heads of n members, all different, float32."""
    draw = torch.Generator().manual_seed(seed)
    shapes = dict(
        edges=(2, H),
        edge_bias=(2,),
        match_in=(width, 2 * H),
        match_in_bias=(width,),
        match_out=(width,),
        match_out_bias=(),
    )
    return {name: torch.randn(n, *shape, generator=draw) * 0.3 for name, shape in shapes.items()}


def some_questions(count, seed=0):
    """Rows of different lengths: a start token, a question, a context of which one row in two has marks, answers."""
    chance = random.Random(seed)
    rows = []
    for i in range(count):
        question, context = chance.randint(1, 3), chance.randint(3, 7)
        places = [(t, t + 1) for t in range(context)]
        if i % 2:
            places[1] = places[2] = None
        gold = tuple((t, t) for t, place in enumerate(places) if place and chance.random() < 0.4)
        rows.append(
            ReadingRow(
                name=f"question {seed}/{i}",
                tokens=(0, *(chance.randrange(1, V) for _ in range(question + context)), 0),
                segments=(*[0] * (1 + question), *[1] * (context + 1)),
                first=1 + question,
                last=1 + question + context,
                places=tuple(places),
                gold=gold,
            )
        )
    return rows
