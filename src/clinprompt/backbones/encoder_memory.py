"""How much memory reading questions with an encoder takes, computed from shapes before anything is loaded.

Weights, prompts and scorers are exact. Activations follow the tensors that autograd keeps in a layer with N tokens of b
bytes, rows of T tokens, H hidden numbers, a heads, I inner numbers of the MLP:

- two norms: 2 b N H (what is normed); queries, keys, values and result: 4 b N H
- the MLP: b N I (what the activation takes in)
- attention that is not fused: b a N T (its weights)
- DeBERTa, whose attention knows distances up to k both ways: b (a N + B H) 4 k more for B rows, and places 16 T²
- ModernBERT: b N (2 H + 2 I) more, for turned queries and keys and a gated MLP
- where the weights train, what goes into each linear layer: 3 b N H + b N I
"""

from __future__ import annotations

from typing import Any

import torch

from clinprompt.backbones.heads import MOST_PAIRS, new_heads
from clinprompt.backbones.published import ENCODER_TYPES

FUSED = ENCODER_TYPES - {"deberta-v2", "megatron-bert"}
"""Families whose attention runs as one product that keeps no weights."""


def head_bytes(hidden: int, width: int) -> int:
    """Bytes of one member's scorers in float32."""
    with torch.device("meta"):
        return sum(value.nbytes for value in new_heads(1, hidden, width, 0).values())


def layer_bytes(config: Any, *, rows: int, tokens: int, itemsize: int, unfrozen: bool) -> int:
    """Bytes that one layer keeps for its backward pass on ``rows`` rows of ``tokens`` tokens, prompts included."""
    N, H, inner = rows * tokens, config.hidden_size, config.intermediate_size
    kept = 6 * N * H + N * inner
    if config.model_type not in FUSED:
        kept += config.num_attention_heads * N * tokens
    if config.model_type == "modernbert":
        kept += 2 * N * (H + inner)
    places = 0
    if config.model_type == "deberta-v2" and config.relative_attention:
        reach = config.position_buckets if config.position_buckets > 0 else config.max_position_embeddings
        kept += 4 * reach * (config.num_attention_heads * N + rows * H)
        places = 2 * 8 * tokens**2
    if unfrozen:
        kept += 3 * N * H + N * inner
    return kept * itemsize + places


def row_tokens(config: Any, *, tokens: int, length: int) -> int:
    """Tokens of a row with its prompt: cut to what the network has positions for."""
    return min(tokens + length, int(getattr(config, "max_position_embeddings", 0) or 2**31))


def work_bytes(
    config: Any,
    *,
    train: bool,
    unfrozen: bool,
    members: int,
    prompts: int,
    length: int,
    rows: int,
    tokens: int,
    width: int,
    b: int,
) -> dict[str, int]:
    """Bytes by what they are for, without the weights; ``width`` is that of the matcher, ``b`` bytes of a number.

    ``prompts`` are the bytes of all prompts, ``length`` is that of one.
    """
    T = row_tokens(config, tokens=tokens, length=length)
    layer = layer_bytes(config, rows=rows, tokens=T, itemsize=b, unfrozen=unfrozen)
    prompts += members * head_bytes(config.hidden_size, width)
    # Both sides of a pair, their sum and what the activation makes of it.
    scorers = 4 * rows * (T * config.hidden_size + 4 * MOST_PAIRS * width)
    if not train:
        return {"prompts and heads": prompts, "one layer at work": layer, "scores": scorers}
    return {
        "prompts, heads, gradients, optimiser": 4 * prompts,
        "activations": config.num_hidden_layers * layer + 2 * rows * T * config.hidden_size * b,
        "scores": scorers,
        "one layer at work": layer,
    }
