"""The last layer for the positions that are read: their keys need all tokens, their network block only themselves."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

from torch import Tensor

_BLOCK = ("input_layernorm", "self_attn", "post_attention_layernorm", "mlp")


def last_layer(decoder: Any) -> Any | None:
    """The last layer of a decoder built as most are: norm, attention, norm, network block; else ``None``."""
    layers = getattr(decoder, "layers", None)
    if not layers or {name for name, _ in layers[-1].named_children()} != set(_BLOCK):
        return None
    return layers[-1]


@contextlib.contextmanager
def only_at(layer: Any | None, places: Tensor) -> Iterator[None]:
    """Let the layer return the states ``[1, A, H]`` at ``places`` ``[A]`` of a sequence ``[1, N, H]`` while inside."""
    if layer is None:
        yield
        return

    def forward(hidden: Tensor, **context: Any) -> Tensor:
        seen, _ = layer.self_attn(hidden_states=layer.input_layernorm(hidden), **context)
        kept = (hidden + seen).index_select(1, places)
        block = layer.mlp(layer.post_attention_layernorm(kept))
        return kept + (block[0] if isinstance(block, tuple) else block)  # mixtures return their routing too

    hooked = layer.__dict__.get("forward")  # accelerate keeps its own here where layers are spread over devices
    layer.forward = forward
    try:
        yield
    finally:
        if hooked is None:
            del layer.forward
        else:
            layer.forward = hooked
