"""Begin a small Llama with induction heads: it copies before it has learnt anything.

From random weights a model of this size stays on the copy plateau for millions of tokens; built this way, the loss
on a repeated random sequence is lower the second time at step 0. The network stays an ordinary
``LlamaForCausalLM``: only its first weights are chosen.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from transformers import LlamaForCausalLM

_CONSTANT = 0.3
_IDENTITY = 0.1
_SHARPNESS = 5.0
_MATCH = 1.83
_COPY = 0.3
_SLOWEST_USED = 0.02


@torch.no_grad()
def build_induction_heads(model: LlamaForCausalLM, *, seed: int, layers: tuple[int, ...] = (1, 2)) -> None:
    """Overwrite all weights in place.

    With ``n = H/2 - 1``, an embedding is a constant (dimension 0), a random identity (1 to n) and nearly nothing.
    Layer 0: heads whose score is ``cos`` of the distance to the previous position (rotary pairs 0 to 3 acting on
    the constant) write the previous token's identity into the upper half. ``layers``: heads that match the current
    identity with stored previous identities, through slow rotary pairs only, and copy the identity found.
    """
    config = model.config
    width, heads = config.hidden_size, config.num_attention_heads
    if config.num_key_value_heads != heads:
        raise ValueError("induction heads need as many key/value heads as query heads")
    size = width // heads
    half = size // 2
    identity = width // 2 - 1
    draw = torch.Generator().manual_seed(seed)

    def normal(*shape: int, scale: float) -> Tensor:
        return torch.randn(*shape, generator=draw) * scale

    theta = config.rope_parameters["rope_theta"]
    frequency = theta ** -(torch.arange(half) / half)
    table = normal(config.vocab_size, width, scale=0.01)
    table[:, 1 : 1 + identity] = normal(config.vocab_size, identity, scale=_IDENTITY)
    table[:, 0] = _CONSTANT
    model.model.embed_tokens.weight.copy_(table)
    rms = math.sqrt((_CONSTANT**2 + identity * _IDENTITY**2) / width)
    constant = _CONSTANT / rms

    slow = [pair for pair in range(half) if frequency[pair] < _SLOWEST_USED]
    slow += [pair + half for pair in slow]
    match = _MATCH * math.sqrt(18 / max(1, len(slow)))
    for depth, layer in enumerate(model.model.layers):
        attention, mlp = layer.self_attn, layer.mlp
        for projection in (attention.q_proj, attention.k_proj, attention.v_proj):
            projection.weight.copy_(normal(width, width, scale=0.5 / math.sqrt(width)))
        attention.o_proj.weight.copy_(normal(width, width, scale=0.1 / math.sqrt(width)))
        for projection in (mlp.gate_proj, mlp.up_proj):
            projection.weight.copy_(normal(*projection.weight.shape, scale=0.7 / math.sqrt(width)))
        down = mlp.down_proj
        scale = 0.15 / math.sqrt(config.num_hidden_layers * config.intermediate_size)
        down.weight.copy_(normal(*down.weight.shape, scale=scale))
        if depth != 0 and depth not in layers:
            continue
        for head in range(min(heads, math.ceil(identity / size))):
            rows = slice(head * size, (head + 1) * size)
            first, last = head * size, min(identity, (head + 1) * size)
            part, place = torch.arange(last - first), torch.arange(first, last)
            query, key, value = torch.zeros(3, size, width)
            output = torch.zeros(width, size)
            value[part, 1 + place] = 1.0
            if depth == 0:
                for pair in range(min(4, half)):
                    key[pair, 0] = _SHARPNESS / constant
                    query[pair, 0] = _SHARPNESS / constant * torch.cos(frequency[pair])
                    query[pair + half, 0] = -_SHARPNESS / constant * torch.sin(frequency[pair])
                output[1 + identity + place, part] = rms
            else:
                chosen = torch.randperm(identity, generator=draw)[: len(slow)]
                for source, target in zip(chosen, slow, strict=False):
                    query[target, 1 + source] = match
                    key[target, 1 + identity + source] = match
                output[1 + place, part] = _COPY
            attention.q_proj.weight[rows] = query + normal(size, width, scale=0.02)
            attention.k_proj.weight[rows] = key + normal(size, width, scale=0.02)
            attention.v_proj.weight[rows] = value + normal(size, width, scale=0.02)
            attention.o_proj.weight[:, rows] = output + normal(width, size, scale=0.005)
