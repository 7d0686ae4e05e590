"""Which token comes next in each answer of a batch: the likeliest, or one that the row's own chance draws."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from clinprompt.inference.constraint import allowed_tokens, likeliest
from clinprompt.inference.draft import Draft


def choose(logits: Tensor, drafts: Sequence[Draft]) -> list[int]:
    """The next token of each draft from the logits ``[B, V]``: allowed by its constraint, drawn by its own chance.

    What a row draws depends on its own logits and seed alone: one number per token, whatever the neighbours do.
    """
    tokens = likeliest(logits, [draft.constraint for draft in drafts])
    drawing = [b for b, draft in enumerate(drafts) if draft.generation.temperature > 0.0]
    if drawing:
        chosen = [drafts[b] for b in drawing]
        allowed = _allowed(logits[drawing], chosen)
        shares = [draft.random.random() for draft in chosen]
        for b, token in zip(drawing, drawn(allowed, chosen, shares), strict=True):
            tokens[b] = token
    return tokens


def drawn(logits: Tensor, drafts: Sequence[Draft], shares: Sequence[float]) -> list[int]:
    """Tokens drawn from the logits ``[B, V]`` by numbers in [0, 1): the place where that share of all is passed.

    Nucleus sampling (Holtzman et al. 2020): of tokens by falling probability, the fewest that have ``top_p`` together.
    """
    column = lambda values: torch.tensor(values, dtype=torch.float64, device=logits.device)[:, None]  # noqa: E731
    heat, most = (column([getattr(d.generation, name) for d in drafts]) for name in ("temperature", "top_p"))
    # The largest is taken off first: a tiny temperature must not make infinities of which none is the larger.
    raw = logits.double()
    values, order = ((raw - raw.amax(-1, keepdim=True)) / heat).softmax(-1).sort(dim=-1, descending=True, stable=True)
    reached = values.cumsum(-1)
    kept = values.masked_fill(reached - values >= most, 0.0).cumsum(-1)
    place = (kept <= column(shares) * kept[:, -1:]).sum(-1, keepdim=True)
    return order.gather(1, place.clamp(max=order.shape[1] - 1)).flatten().tolist()


def chances(logits: Tensor, tokens: Sequence[int], drafts: Sequence[Draft]) -> list[float]:
    """Log-probability in nats of each row's token under the logits ``[B, V]``; fills in the drafts' ``best``."""
    total = logits.logsumexp(-1, keepdim=True)
    values = (logits.gather(1, torch.tensor(tokens, device=logits.device)[:, None]) - total).flatten().tolist()
    for b, draft in enumerate(drafts):
        if draft.wanted:
            best = logits[b].topk(min(draft.wanted, logits.shape[1]))
            draft.best = tuple(zip(best.indices.tolist(), (best.values - total[b]).tolist(), strict=True))
    return values


def _allowed(logits: Tensor, drafts: Sequence[Draft]) -> Tensor:
    constraints = [draft.constraint for draft in drafts]
    if all(one is None for one in constraints):
        return logits
    may = allowed_tokens(constraints, logits.shape[-1], device=logits.device)
    return logits.masked_fill(~may, -torch.inf)
