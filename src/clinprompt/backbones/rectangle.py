"""The plain way: rows as a padded rectangle through the stock network, every prompt run again for every row.

It is what the packed way is compared with, and what networks get whose attention cannot be replaced.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from transformers import DynamicCache

from clinprompt.backbones.causal_batch import CausalBatch, collate
from clinprompt.backbones.protocol import Output, PromptVectors, Row

if TYPE_CHECKING:
    from clinprompt.backbones.causal import CausalBackbone


def forward(
    backbone: CausalBackbone, rows: Sequence[Row], prompts: PromptVectors | None, *, hidden_layers: Sequence[int]
) -> Output:
    """Logits and hidden states at answer positions, as :meth:`CausalBackbone.forward` gives them."""
    batch = _laid(backbone, rows, prompts, with_answers=True)
    embeds, above = _prompted(backbone, batch, prompts)
    with backbone.precision(), above:
        result = backbone.decoder(
            inputs_embeds=embeds,
            attention_mask=batch.mask,
            position_ids=batch.positions,
            use_cache=False,
            output_hidden_states=bool(hidden_layers),
        )
    at = (batch.answer_row, batch.answer_column)
    hidden = [result.hidden_states[layer][at] for layer in hidden_layers]
    return backbone.output(result.last_hidden_state[at], hidden, targets=batch.targets, row=batch.answer_row)


class Rectangle:
    """Rows in one padded rectangle with a cache: all begin together, and each step adds a token to every row."""

    @torch.no_grad()
    def __init__(self, backbone: CausalBackbone, rows: Sequence[Row], prompts: PromptVectors | None) -> None:
        batch = _laid(backbone, rows, prompts, with_answers=False)
        self.backbone, self.size = backbone, len(rows)
        self.mask, self.position = batch.mask, batch.positions[:, -1:]
        self.cache = DynamicCache(config=backbone.model.config)
        embeds, above = _prompted(backbone, batch, prompts)
        with above:
            self.first = self._run(embeds, batch.positions)
        """Logits ``[B, V]`` of the answers' first tokens."""

    @torch.no_grad()
    def step(self, tokens: Tensor) -> Tensor:
        """Logits ``[B, V]`` after one more token ``[B]`` in each row."""
        self.mask = torch.cat([self.mask, torch.ones_like(self.mask[:, :1])], dim=1)
        self.position = self.position + 1
        return self._run(self.backbone.model.get_input_embeddings()(tokens[:, None]), self.position)

    def _run(self, embeds: Tensor, positions: Tensor) -> Tensor:
        with self.backbone.precision():
            result = self.backbone.decoder(
                inputs_embeds=embeds,
                attention_mask=self.mask,
                position_ids=positions,
                past_key_values=self.cache,
                use_cache=True,
            )
        # Contiguous, because a strided slice into a frozen head copies the head once per row.
        return self.backbone.logits(result.last_hidden_state[:, -1].contiguous())


@dataclass(slots=True)
class Seat:
    """A row's place in a rectangle."""

    rectangle: Rectangle
    at: int


def _laid(
    backbone: CausalBackbone, rows: Sequence[Row], prompts: PromptVectors | None, *, with_answers: bool
) -> CausalBatch:
    batch = collate(rows, prompts, bos=backbone.bos, pad=backbone.pad, with_answers=with_answers)
    if backbone.device.type == "cpu":
        return batch
    return replace(batch, **{field.name: getattr(batch, field.name).to(backbone.device) for field in fields(batch)})


def _prompted(
    backbone: CausalBackbone, batch: CausalBatch, prompts: PromptVectors | None
) -> tuple[Tensor, AbstractContextManager[None]]:
    return backbone.prompted(batch.ids, prompts, batch.slot_vector, (batch.slot_row, batch.slot_column))
