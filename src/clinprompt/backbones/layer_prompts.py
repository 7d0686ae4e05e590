"""Prompts per layer on a stock network: what a layer takes in is overwritten at the prompt's places.

One set of vectors per layer, as in VPT-deep (arXiv 2203.12119): hidden states that every token can attend to.
P-Tuning v2 (arXiv 2110.07602) puts keys and values into every layer instead, for which a stock network has no place.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

from torch import Tensor, nn

from clinprompt.errors import InputError


def layers_of(model: Any) -> Sequence[nn.Module]:
    """The layers of an encoder, first to last; raises :class:`InputError` for a network without such a list."""
    count = model.config.num_hidden_layers
    for module in model.modules():
        if isinstance(module, nn.ModuleList) and len(module) == count:
            return list(module)
    raise InputError(
        "this network has no list of layers", allowed="encoders such as BERT, RoBERTa, DeBERTa, ModernBERT"
    )


@contextmanager
def inputs_changed(layers: Sequence[nn.Module], change: Callable[[int, Tensor], Tensor]) -> Iterator[None]:
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
        yield
