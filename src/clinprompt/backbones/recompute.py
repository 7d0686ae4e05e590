"""Activation checkpointing: one state per layer is kept, the rest is computed again on the way back."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

from torch.utils.checkpoint import checkpoint

from clinprompt.backbones.attention import routed
from clinprompt.backbones.layer_prompts import changed_again


def recompute_layers(model: Any, layers: Sequence[Any]) -> None:
    """Make transformers' layers compute their insides again in the backward pass, all but the last.

    Only the layer itself is marked as training, not its parts: dropout stays off. The last layer's insides are
    needed at once, so nothing would be saved there.
    """

    def contexts() -> tuple[contextlib.AbstractContextManager[None], contextlib.AbstractContextManager[None]]:
        # The backward pass happens outside the forward's routing and has to find the same attention and prompts.
        return contextlib.nullcontext(), _within(routed(model), changed_again())

    again = partial(checkpoint, use_reentrant=False, context_fn=contexts)
    for layer in layers[:-1]:
        layer.gradient_checkpointing, layer._gradient_checkpointing_func, layer.training = True, again, True


@contextlib.contextmanager
def _within(*contexts: contextlib.AbstractContextManager[None]) -> Iterator[None]:
    with contextlib.ExitStack() as stack:
        for context in contexts:
            stack.enter_context(context)
        yield
