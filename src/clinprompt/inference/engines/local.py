"""The local engine: rows in, answers out, in batches of similar length on the backbone in this process."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch

from clinprompt.backbones.protocol import Backbone, Limits, Placement, PromptVectors, RawAnswer, Row


@dataclass(frozen=True, slots=True)
class Request:
    """One row with its own prompt: vectors ``[P, H]`` and their placement, or ``None`` for no prompt."""

    row: Row
    vectors: torch.Tensor | None = None
    placement: Placement = Placement.suffix


def answer_all(
    backbone: Backbone,
    requests: Sequence[Request],
    limits: Limits,
    *,
    tokens_per_batch: int = 8192,
    watch: Callable[[int], None] = lambda rows: None,
) -> list[RawAnswer]:
    """Answer requests of any mix of prompts, in the order given; ``watch`` hears how many rows each batch held.

    Prompts of one length and placement share a batch; batches hold at most ``tokens_per_batch`` padded tokens.
    """
    answers: list[RawAnswer | None] = [None] * len(requests)
    for batch in _batches(requests, tokens_per_batch):
        chosen = [requests[i] for i in batch]
        prompts = None
        if chosen[0].vectors is not None:
            vectors = torch.stack([request.vectors for request in chosen])  # [B, P, H]
            prompts = PromptVectors(vectors, chosen[0].placement)
        found = backbone.answer([request.row for request in chosen], prompts, limits)
        for i, answer in zip(batch, found, strict=True):
            answers[i] = answer
        watch(len(batch))
    return [answer for answer in answers if answer is not None]


def _batches(requests: Sequence[Request], tokens_per_batch: int) -> list[list[int]]:
    kinds: dict[tuple[int, Placement], list[int]] = {}
    for i, request in enumerate(requests):
        length = 0 if request.vectors is None else request.vectors.shape[0]
        kinds.setdefault((length, request.placement), []).append(i)
    batches = []
    for (length, _), members in kinds.items():
        batch: list[int] = []
        for i in sorted(members, key=lambda i: requests[i].row.length):
            size = requests[i].row.length + length
            if batch and (len(batch) + 1) * size > tokens_per_batch:
                batches.append(batch)
                batch = []
            batch.append(i)
        batches.append(batch)
    return batches
