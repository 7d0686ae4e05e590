"""Norms and gates of a frozen network with a backward pass of their own: fewer products, and half the memory.

Autograd keeps every step of a norm in single precision, and gate, activation and product of a gated block. Where no
weight trains, the input of the norm and the two halves of the gate are enough to find all gradients again.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor

from clinprompt.backbones.attention import is_routed


def _normed(values: Tensor, weight: Tensor, epsilon: float, late: bool) -> tuple[Tensor, Tensor]:
    wide = values.to(torch.float32)
    scale = torch.rsqrt(wide.square().mean(-1, keepdim=True) + epsilon)
    wide = wide * scale
    return (weight * wide).to(values.dtype) if late else weight * wide.to(values.dtype), scale


def _multiplied(gate: Tensor, up: Tensor) -> Tensor:
    return torch.nn.functional.silu(gate) * up


class _Norm(torch.autograd.Function):
    """RMS norm (arXiv 1910.07467) with a weight that does not train; ``late`` rounds after the weight, not before."""

    @staticmethod
    def forward(ctx: Any, values: Tensor, weight: Tensor, epsilon: float, late: bool) -> Tensor:
        found, scale = _normed(values, weight, epsilon, late)
        ctx.save_for_backward(values, weight, scale)
        return found

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None, None]:
        values, weight, scale = ctx.saved_tensors
        normed = values.to(torch.float32) * scale
        gradient = (gradients[0] * weight).to(torch.float32)
        found = (gradient - normed * (gradient * normed).mean(-1, keepdim=True)) * scale
        return found.to(values.dtype), None, None, None


class _Gate(torch.autograd.Function):
    """silu(gate) · up (arXiv 2002.05202)."""

    @staticmethod
    def forward(ctx: Any, gate: Tensor, up: Tensor) -> Tensor:
        ctx.save_for_backward(gate, up)
        return _multiplied(gate, up)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor]:
        gate, up = ctx.saved_tensors
        through_gate = torch.ops.aten.silu_backward(gradients[0] * up, gate)
        return through_gate, gradients[0] * torch.nn.functional.silu(gate)


def lighten(model: Any) -> None:
    """Give a transformers network these norms and gates, for as long as its rows are packed and it is frozen.

    A module is changed only when it then gives exactly what it gave; the others stay as they are.
    """
    for module in model.modules():
        if "forward" in module.__dict__:
            continue  # done before, or accelerate has put something of its own there
        if hasattr(module, "variance_epsilon") and isinstance(getattr(module, "weight", None), Tensor):
            _lighten_norm(model, module)
        elif all(hasattr(module, name) for name in ("gate_proj", "up_proj", "down_proj", "act_fn")):
            _lighten_gate(model, module)


def _lighten_norm(model: Any, module: Any) -> None:
    stock, weight = module.forward, module.weight
    if weight.ndim != 1 or type(weight.data) is not Tensor or weight.is_meta:
        return
    probe = torch.linspace(-3, 5, 2 * len(weight), device=weight.device).view(2, -1).to(weight.dtype)
    own = weight.data
    with torch.no_grad():
        weight.data = torch.linspace(0.3, 2, len(weight), device=weight.device).to(weight.dtype)  # often all ones
        for late in (False, True):
            if torch.equal(_Norm.apply(probe, weight, module.variance_epsilon, late), stock(probe)):
                module.forward = partial(_norm, model.config.get_text_config(), module, stock, late)
                break
        weight.data = own


def _norm(config: Any, module: Any, stock: Callable[[Tensor], Tensor], late: bool, hidden_states: Tensor) -> Tensor:
    if not is_routed(config) or module.weight.requires_grad:
        return stock(hidden_states)
    if not torch.is_grad_enabled():
        # For one token, to enter a function of autograd takes as long as the norm.
        return _normed(hidden_states, module.weight, module.variance_epsilon, late)[0]
    return _Norm.apply(hidden_states, module.weight, module.variance_epsilon, late)


def _lighten_gate(model: Any, module: Any) -> None:
    probe = torch.linspace(-4, 4, 9)
    with torch.no_grad():
        if torch.equal(module.act_fn(probe), torch.nn.functional.silu(probe)):
            module.forward = partial(_gated, model.config.get_text_config(), module, module.forward)


def _gated(config: Any, module: Any, stock: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    if not is_routed(config):
        return stock(x)
    gated = _Gate.apply if torch.is_grad_enabled() else _multiplied
    return module.down_proj(gated(module.gate_proj(x), module.up_proj(x)))
