"""The plain way: rows as a padded rectangle through the stock network, every prompt run again for every row.

It is what the packed way is compared with, and what networks get whose attention cannot be replaced.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import fields, replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from transformers import DynamicCache

from clinprompt.backbones.causal_batch import CausalBatch, collate, place
from clinprompt.backbones.protocol import Output, PromptVectors, Row

if TYPE_CHECKING:
    from clinprompt.backbones.causal import CausalBackbone


def forward(
    backbone: CausalBackbone, rows: Sequence[Row], prompts: PromptVectors | None, *, hidden_layers: Sequence[int]
) -> Output:
    """Logits and hidden states at answer positions, as :meth:`CausalBackbone.forward` gives them."""
    batch = _laid(backbone, rows, prompts, with_answers=True)
    with backbone.precision():
        result = backbone.decoder(
            inputs_embeds=_embedded(backbone, batch, prompts),
            attention_mask=batch.mask,
            position_ids=batch.positions,
            use_cache=False,
            output_hidden_states=bool(hidden_layers),
        )
    at = (batch.answer_row, batch.answer_column)
    hidden = [result.hidden_states[layer][at] for layer in hidden_layers]
    return backbone.output(result.last_hidden_state[at], hidden, targets=batch.targets, row=batch.answer_row)


@torch.no_grad()
def greedy(
    backbone: CausalBackbone,
    rows: Sequence[Row],
    prompts: PromptVectors | None,
    *,
    most: int,
    choose: Callable[[Tensor], list[int]],
) -> None:
    """Write answers of at most ``most`` tokens.

    ``choose`` takes the logits ``[B, V]`` of a step and gives the token of each row; an end token where it has ended.
    """
    batch = _laid(backbone, rows, prompts, with_answers=False)
    mask, position = batch.mask, batch.positions[:, -1:]
    cache = DynamicCache(config=backbone.model.config)
    embeds, positions = _embedded(backbone, batch, prompts), batch.positions
    ends = torch.tensor(sorted(backbone.stops), device=backbone.device)
    done = torch.zeros(len(rows), dtype=torch.bool, device=backbone.device)
    for _ in range(most):
        with backbone.precision():
            result = backbone.decoder(
                inputs_embeds=embeds, attention_mask=mask, position_ids=positions, past_key_values=cache, use_cache=True
            )
        # Contiguous, because a strided slice into a frozen head copies the head once per row.
        logits = backbone.logits(result.last_hidden_state[:, -1].contiguous())
        token = torch.tensor(choose(logits), device=backbone.device)
        done = done | torch.isin(token, ends)
        if bool(done.all()):
            break
        mask = torch.cat([mask, torch.ones_like(mask[:, :1])], dim=1)
        position = position + 1
        embeds, positions = backbone.model.get_input_embeddings()(token[:, None]), position


def _laid(
    backbone: CausalBackbone, rows: Sequence[Row], prompts: PromptVectors | None, *, with_answers: bool
) -> CausalBatch:
    batch = collate(rows, prompts, bos=backbone.bos, pad=backbone.pad, with_answers=with_answers)
    if backbone.device.type == "cpu":
        return batch
    return replace(batch, **{field.name: getattr(batch, field.name).to(backbone.device) for field in fields(batch)})


def _embedded(backbone: CausalBackbone, batch: CausalBatch, prompts: PromptVectors | None) -> Tensor:
    embeds = backbone.model.get_input_embeddings()(batch.ids)  # [B, T, H]
    return embeds if prompts is None else place(embeds, batch, prompts.vectors.to(backbone.device))
