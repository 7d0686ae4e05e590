"""Attention of rows that lie one behind the other in one flat sequence, for every family of transformers.

The stock network runs as it is, with one row of N tokens; only its attention function is replaced by one that asks a
layout which tokens see which. Linears, norms and experts so never meet a padding token, and tokens that several rows
share (a prompt, a note) are run once.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor
from transformers import AttentionInterface

NAME = "clinprompt"
"""Name under which transformers knows this attention."""


SHORT = 512
"""Keys up to which plain products beat the fused kernel on a processor in half precision, backwards above all."""


@dataclass(frozen=True, slots=True)
class AttentionTerms:
    """What a layer says about its attention: number, scale of the scores, window (``None``: all), sinks ``[heads]``."""

    layer: int
    scaling: float
    window: int | None
    sinks: Tensor | None


class Layout(Protocol):
    """Which tokens of a flat sequence see which."""

    device: torch.device

    def attend(self, query: Tensor, key: Tensor, value: Tensor, terms: AttentionTerms) -> Tensor:
        """Attention of ``query`` ``[N, heads, D]`` over ``key`` and ``value`` ``[N, key heads, D]``: like the query."""
        ...


@torch.compiler.disable  # a layout is different in every batch: tracing it would compile every batch anew
def _attention(
    module: Any,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: None,
    *,
    layout: Layout,
    scaling: float | None = None,
    sliding_window: int | None = None,
    s_aux: Tensor | None = None,
    softcap: float | None = None,
    **_: Any,
) -> tuple[Tensor, None]:
    """The function transformers calls in each layer; ``query`` is ``[1, heads, N, D]``."""
    if softcap is not None:
        raise NotImplementedError("attention with capped scores")
    scale = query.shape[-1] ** -0.5 if scaling is None else scaling
    terms = AttentionTerms(module.layer_idx, scale, sliding_window, s_aux)
    # Where layers are spread over several devices, attention runs where the layout and the kept states are.
    flat = (tensor[0].transpose(0, 1).to(layout.device) for tensor in (query, key, value))
    return layout.attend(*flat, terms)[None].to(query.device), None


AttentionInterface.register(NAME, _attention)


_ROUTED: set[int] = set()
"""Configurations whose networks are routed now. To ask a configuration itself takes longer than a norm of one token."""


def is_routed(config: Any) -> bool:
    """Whether the layers of the network with this text configuration call the layout's attention now."""
    return id(config) in _ROUTED


@contextlib.contextmanager
def routed(model: Any) -> Iterator[None]:
    """Let the model's layers call the layout's attention while inside."""
    config = model.config.get_text_config()
    before, config._attn_implementation = config._attn_implementation, NAME
    outermost = id(config) not in _ROUTED
    _ROUTED.add(id(config))
    try:
        yield
    finally:
        config._attn_implementation = before
        if outermost:
            _ROUTED.discard(id(config))


@dataclass(frozen=True, slots=True)
class Trunk:
    """Keys and values ``[G, key heads, S, D]`` that stand before a group's own, and who may see them.

    ``G`` divides the rows of the group: consecutive rows share a trunk, which is stored once. ``seen`` is bool
    ``[B, T, S]``, or ``None`` where everything is.
    """

    key: Tensor
    value: Tensor
    seen: Tensor | None


def attend(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    terms: AttentionTerms,
    *,
    seen: Tensor | None,
    causal: bool = False,
    trunk: Trunk | None = None,
) -> Tensor:
    """Attention of ``B`` rows: ``query`` ``[B, T, heads, D]`` over ``key`` and ``value`` ``[B, U, key heads, D]``.

    ``seen`` is bool ``[B, T, U]`` (``None``: all, or those not later when ``causal``, which needs T = U). With a trunk
    the softmax runs over both parts, without joining their keys. Returns ``[B, T, heads, D]``.
    """
    plain = query.device.type == "cpu" and query.dtype in (torch.bfloat16, torch.float16) and key.shape[1] <= SHORT
    if trunk is None and terms.sinks is None and not plain:
        mask = None if seen is None else seen[:, None]
        if mask is not None and query.device.type == "cuda":
            # No memory-saving kernel takes a mask and shared key heads together.
            key, value = (part.repeat_interleave(query.shape[2] // part.shape[2], dim=2) for part in (key, value))
        found = torch.nn.functional.scaled_dot_product_attention(
            query.transpose(1, 2),
            key.transpose(1, 2),
            value.transpose(1, 2),
            attn_mask=mask,
            is_causal=causal and mask is None,
            scale=terms.scaling,
            enable_gqa=True,
        )
        return found.transpose(1, 2)
    return _attend_in_parts(query, key, value, terms, seen=seen, causal=causal, trunk=trunk)


def _attend_in_parts(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    terms: AttentionTerms,
    *,
    seen: Tensor | None,
    causal: bool,
    trunk: Trunk | None,
) -> Tensor:
    """The same by plain products: for trunks, and for sinks, which no fused kernel of torch knows."""
    B, T, heads, D = query.shape
    U, k = key.shape[1], key.shape[2]
    if trunk is not None and T == 1 and len(trunk.key) == B and terms.sinks is None:
        return _attend_one(query, key, value, terms, seen=seen, trunk=trunk)
    g = heads // k
    if causal and seen is None:
        seen = torch.ones(T, U, dtype=torch.bool, device=query.device).tril().expand(B, T, U)
    grouped = query.view(B, T, k, g, D).permute(0, 2, 3, 1, 4) * terms.scaling  # [B, k, g, T, D]
    own = (grouped.reshape(B, k, g * T, D) @ key.permute(0, 2, 3, 1)).view(B, k, g, T, U)
    scores = [_hide(own, seen)]
    if trunk is not None:
        G, S = trunk.key.shape[0], trunk.key.shape[2]
        R = B // G
        shared = grouped.view(G, R, k, g, T, D).transpose(1, 2).reshape(G, k, R * g * T, D)
        far = (shared @ trunk.key.transpose(2, 3)).view(G, k, R, g, T, S).transpose(1, 2).reshape(B, k, g, T, S)
        scores.insert(0, _hide(far, trunk.seen))
    if terms.sinks is not None:
        scores.append(terms.sinks.view(1, k, g, 1, 1).expand(B, k, g, T, 1).to(own.dtype))
    joined = torch.cat(scores, dim=-1) if len(scores) > 1 else scores[0]
    weights = joined.softmax(dim=-1).to(value.dtype)  # computed in single precision also for half
    at = 0 if trunk is None else trunk.key.shape[2]
    found = (weights[..., at : at + U].reshape(B, k, g * T, U) @ value.transpose(1, 2)).view(B, k, g, T, D)
    if trunk is not None:
        part = weights[..., :at].reshape(G, R, k, g, T, S).transpose(1, 2).reshape(G, k, R * g * T, S)
        found = found + (part @ trunk.value).view(G, k, R, g, T, D).transpose(1, 2).reshape(B, k, g, T, D)
    return found.permute(0, 3, 1, 2, 4).reshape(B, T, heads, D)


def _attend_one(
    query: Tensor, key: Tensor, value: Tensor, terms: AttentionTerms, *, seen: Tensor | None, trunk: Trunk
) -> Tensor:
    """The same for one token per row, each on a trunk of its own: half as many calls, which are most of the time."""
    B, _, heads, D = query.shape
    S, k = trunk.key.shape[2], key.shape[2]
    one = query.view(B, k, heads // k, D) * terms.scaling
    far, own = one @ trunk.key.transpose(2, 3), one @ key.permute(0, 2, 3, 1)
    if trunk.seen is not None:
        far = _hide(far.unsqueeze(3), trunk.seen).squeeze(3)
    if seen is not None:
        own = _hide(own.unsqueeze(3), seen).squeeze(3)
    weights = torch.cat([far, own], dim=-1).softmax(dim=-1).to(value.dtype)
    found = weights[..., S:] @ value.transpose(1, 2)
    return (found + weights[..., :S] @ trunk.value).view(B, 1, heads, D)


def _hide(scores: Tensor, seen: Tensor | None) -> Tensor:
    """Scores ``[B, k, g, T, S]`` with those not seen (bool ``[B, T, S]``) too low to count; the same tensor."""
    if seen is None:
        return scores
    low = torch.zeros(seen.shape, dtype=scores.dtype, device=scores.device)
    low.masked_fill_(~seen, torch.finfo(scores.dtype).min)
    # In place: the product that made the scores does not need them again, and what does not count has no gradient.
    return scores.add_(low[:, None, None])
