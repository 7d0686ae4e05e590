"""Begin a small Llama with induction heads: it copies before it has learnt anything.

From random weights a model of this size stays on the copy plateau for millions of tokens; built this way, the
loss on a repeated random sequence is lower the second time at step 0. The network stays an ordinary
``LlamaForCausalLM``: only its first weights are chosen.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from transformers import LlamaForCausalLM
from transformers.models.llama.modeling_llama import LlamaAttention, LlamaDecoderLayer

# Found by trial on the prototype: height of the constant and of the identities in an embedding, score of the
# previous position over others, score of a match, share of the identity that a match copies.
_CONSTANT, _IDENTITY = 0.3, 0.1
_SHARPNESS, _MATCH, _COPY = 5.0, 1.83, 0.3
# Rotary pairs slower than this (radians per position) hardly see the distance: a match counts anywhere.
_SLOWEST_USED = 0.02


@dataclass(frozen=True, slots=True)
class _Plan:
    """Sizes that all heads share; ``identity`` is ``n`` of :func:`build_induction_heads`."""

    width: int
    size: int
    identity: int
    frequency: Tensor  # [size / 2], radians per position
    draw: torch.Generator

    @property
    def rms(self) -> float:
        """Root mean square of an embedding, which RMSNorm divides by."""
        return math.sqrt((_CONSTANT**2 + self.identity * _IDENTITY**2) / self.width)

    def normal(self, *shape: int, scale: float) -> Tensor:
        """Random numbers of this standard deviation."""
        return torch.randn(*shape, generator=self.draw) * scale


@torch.no_grad()
def build_induction_heads(model: LlamaForCausalLM, *, seed: int, layers: tuple[int, ...] = (1, 2)) -> None:
    """Overwrite all weights in place.

    With ``n = H/2 - 1``, an embedding is a constant (dimension 0), a random identity (1 to n) and nearly
    nothing. Layer 0: heads whose score is the cosine of the distance to the previous position (rotary pairs 0
    to 3 acting on the constant) write the previous token's identity into the upper half. ``layers``: heads
    that match the current identity with stored previous identities, through slow rotary pairs only, and copy
    the identity found. Raises :class:`ValueError` when query heads share key/value heads.
    """
    config = model.config
    if config.num_key_value_heads != config.num_attention_heads:
        raise ValueError("induction heads need as many key/value heads as query heads")
    size = config.hidden_size // config.num_attention_heads
    plan = _Plan(
        width=config.hidden_size,
        size=size,
        identity=config.hidden_size // 2 - 1,
        frequency=config.rope_parameters["rope_theta"] ** -(torch.arange(size // 2) / (size // 2)),
        draw=torch.Generator().manual_seed(seed),
    )
    table = plan.normal(config.vocab_size, plan.width, scale=0.01)
    table[:, 1 : 1 + plan.identity] = plan.normal(config.vocab_size, plan.identity, scale=_IDENTITY)
    table[:, 0] = _CONSTANT
    model.model.embed_tokens.weight.copy_(table)
    heads = min(config.num_attention_heads, math.ceil(plan.identity / size))
    for depth, layer in enumerate(model.model.layers):
        _randomise(layer, plan, down_scale=0.15 / math.sqrt(len(model.model.layers) * config.intermediate_size))
        for head in range(heads if depth == 0 or depth in layers else 0):
            query, key = _look_back(plan) if depth == 0 else _match(plan)
            _place(layer.self_attn, head, plan, query=query, key=key, stores=depth == 0)


def _randomise(layer: LlamaDecoderLayer, plan: _Plan, *, down_scale: float) -> None:
    """Small random weights everywhere, so that the built heads begin undisturbed."""
    attention, mlp = layer.self_attn, layer.mlp
    unit = 1 / math.sqrt(plan.width)
    for projection, scale in (
        (attention.q_proj, 0.5 * unit),
        (attention.k_proj, 0.5 * unit),
        (attention.v_proj, 0.5 * unit),
        (attention.o_proj, 0.1 * unit),
        (mlp.gate_proj, 0.7 * unit),
        (mlp.up_proj, 0.7 * unit),
        (mlp.down_proj, down_scale),
    ):
        projection.weight.copy_(plan.normal(*projection.weight.shape, scale=scale))


def _look_back(plan: _Plan) -> tuple[Tensor, Tensor]:
    """Query and key ``[size, H]`` whose score is highest one position before the query."""
    query, key = torch.zeros(2, plan.size, plan.width)
    half = plan.size // 2
    height = _SHARPNESS / (_CONSTANT / plan.rms)
    for pair in range(min(4, half)):
        key[pair, 0] = height
        query[pair, 0] = height * torch.cos(plan.frequency[pair])
        query[pair + half, 0] = -height * torch.sin(plan.frequency[pair])
    return query, key


def _match(plan: _Plan) -> tuple[Tensor, Tensor]:
    """Query and key ``[size, H]`` that compare the current identity with stored previous ones."""
    query, key = torch.zeros(2, plan.size, plan.width)
    half = plan.size // 2
    slow = [pair for pair in range(half) if plan.frequency[pair] < _SLOWEST_USED]
    slow += [pair + half for pair in slow]
    height = _MATCH * math.sqrt(18 / max(1, len(slow)))
    sources = torch.randperm(plan.identity, generator=plan.draw)[: len(slow)]
    for source, target in zip(sources, slow, strict=False):
        query[target, 1 + source] = height
        key[target, 1 + plan.identity + source] = height
    return query, key


def _place(attention: LlamaAttention, head: int, plan: _Plan, *, query: Tensor, key: Tensor, stores: bool) -> None:
    """Write one head; it carries its part of the identity to the upper half (``stores``) or copies it."""
    rows = slice(head * plan.size, (head + 1) * plan.size)
    place = torch.arange(head * plan.size, min(plan.identity, (head + 1) * plan.size))
    part = torch.arange(len(place))
    value, output = torch.zeros(plan.size, plan.width), torch.zeros(plan.width, plan.size)
    value[part, 1 + place] = 1.0
    if stores:
        output[1 + plan.identity + place, part] = plan.rms
    else:
        output[1 + place, part] = _COPY
    attention.q_proj.weight[rows] = query + plan.normal(plan.size, plan.width, scale=0.02)
    attention.k_proj.weight[rows] = key + plan.normal(plan.size, plan.width, scale=0.02)
    attention.v_proj.weight[rows] = value + plan.normal(plan.size, plan.width, scale=0.02)
    attention.o_proj.weight[:, rows] = output + plan.normal(plan.width, plan.size, scale=0.005)
