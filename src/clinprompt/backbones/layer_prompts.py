"""Prompts per layer on a stock network: what a layer takes in is overwritten at the prompt's places.

One set of vectors per layer, as in VPT-deep (arXiv 2203.12119): hidden states that every token can attend to.
P-Tuning v2 (arXiv 2110.07602) puts keys and values into every layer instead, for which a stock network has no place.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from contextvars import ContextVar
from typing import Any

import torch
from torch import Tensor, nn

from clinprompt.errors import InputError

_Change = Callable[[int, Tensor], Tensor]
_changed: ContextVar[tuple[Sequence[nn.Module], _Change] | None] = ContextVar("changed", default=None)


def layers_of(model: Any) -> Sequence[nn.Module]:
    """The layers of an encoder, first to last; raises :class:`InputError` for a network without such a list."""
    count = model.config.num_hidden_layers
    for module in model.modules():
        if isinstance(module, nn.ModuleList) and len(module) == count:
            return list(module)
    raise InputError(
        "this network has no list of layers", allowed="encoders such as BERT, RoBERTa, DeBERTa, ModernBERT"
    )


def check_uncompiled(layers: Sequence[nn.Module]) -> None:
    """Raise :class:`InputError` for layers that were compiled: those may not notice that their input is changed."""
    if any(layer._compiled_call_impl is not None for layer in layers):
        raise InputError(
            "layers that are compiled do not take in vectors of their own",
            where="backbone.compiled",
            fix="leave it off for prompts in every layer",
        )


def layer_inputs(network: Any, vectors: Tensor, *, behind: Tensor) -> Tensor:
    """What each layer takes in of vectors ``[N, P, H]`` behind others ``[B, H]``: ``[N, L, P, H]`` in float32."""
    found = []
    for one in vectors:  # one by one: as many as there are cells may not fit
        embeds = torch.cat([behind, one.to(behind)])[None]
        *states, _ = network(inputs_embeds=embeds, output_hidden_states=True).hidden_states
        found.append(torch.cat([state[:, len(behind) :].float().cpu() for state in states]))
    return torch.stack(found)


def at_layers(vectors: Tensor, index: Tensor) -> Tensor:
    """Vectors ``index`` ``[K]`` of ``M * P``: ``[1, K, H]`` of ``[M, P, H]``, ``[L, K, H]`` of ``[M, L, P, H]``."""
    layered = vectors[:, None] if vectors.ndim == 3 else vectors
    return layered.transpose(0, 1).flatten(1, 2)[:, index]


@contextmanager
def prompted(layers: Sequence[nn.Module], vectors: Tensor, places: tuple[Tensor, ...]) -> Iterator[None]:
    """For the length of a ``with``, layer l of those above the first takes in ``vectors[l]`` ``[K, H]`` at ``places``.

    Vectors ``[1, K, H]`` are those of the input, which layers do not take in again. Raises ``ValueError`` for vectors
    of another number of layers.
    """
    if len(vectors) == 1 or not vectors.shape[1]:
        yield
        return
    if len(vectors) != len(layers):
        raise ValueError(f"prompts for {len(vectors)} layers on a network of {len(layers)}")
    check_uncompiled(layers)

    def change(layer: int, states: Tensor) -> Tensor:
        if layer == 0:
            return states
        return states.index_put(tuple(place.to(states.device) for place in places), vectors[layer].to(states))

    with inputs_changed(layers, change):
        yield


@contextmanager
def inputs_changed(layers: Sequence[nn.Module], change: _Change) -> Iterator[None]:
    """For the length of a ``with``, layer l runs on ``change(l, states)`` in place of its states ``[B, T, H]``."""

    def hook(layer: int) -> Callable[..., Any]:
        def changed(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Any, Any]:
            if args:
                return (change(layer, args[0]), *args[1:]), kwargs
            return args, kwargs | {"hidden_states": change(layer, kwargs["hidden_states"])}

        return changed

    with ExitStack() as stack:
        for number, layer in enumerate(layers):
            stack.enter_context(layer.register_forward_pre_hook(hook(number), with_kwargs=True))
        token = _changed.set((layers, change))
        try:
            yield
        finally:
            _changed.reset(token)


def changed_again() -> AbstractContextManager[None]:
    """What layers take in now, for a ``with`` of later: run again on the way back they must take in the same."""
    now = _changed.get()
    return nullcontext() if now is None else inputs_changed(*now)
