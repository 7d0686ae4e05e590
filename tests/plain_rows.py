"""A row with its prompt put together by hand: one sequence without padding through the stock network."""

from contextlib import ExitStack, contextmanager

import torch

LAYERS = 3
"""Layers of every tiny family."""


def plain_embeds(backbone, context, cue, vectors, placement, after=()):
    """The row as the papers draw it, with prompt ``[P, H]``, ``[L, P, H]`` or none: embeddings ``[1, T, H]``."""
    table = backbone.model.get_input_embeddings()
    embed = lambda ids: table(torch.tensor(ids, dtype=torch.long))  # noqa: E731
    before, behind = embed([backbone.bos, *context]), embed([*cue, *after])
    if vectors is None:
        return torch.cat([before, behind])[None]
    lowest = (vectors if vectors.ndim == 2 else vectors[0]).to(before.dtype)
    first, _ = placement.split(len(lowest))
    return torch.cat([lowest[:first], before, lowest[first:], behind])[None]


@contextmanager
def plain_layers(backbone, context, vectors, placement):
    """While inside, the layers above the first take in their own vectors of a prompt ``[L, P, H]``.

    Steps of one token, which stock generation takes behind its cache, have no prompt among them.
    """
    with ExitStack() as stack:
        if vectors is not None and vectors.ndim == 3:
            first, last = placement.split(vectors.shape[1])
            middle = first + 1 + len(context)
            for layer, own in list(zip(backbone.decoder.layers, vectors, strict=True))[1:]:

                def changed(module, args, kwargs, own=own):
                    states = args[0] if args else kwargs.pop("hidden_states")
                    if states.shape[1] > 1:
                        own = own.to(states.dtype).expand(len(states), -1, -1)
                        kept = states[:, first:middle], states[:, middle + last :]
                        states = torch.cat([own[:, :first], kept[0], own[:, first:], kept[1]], dim=1)
                    return (states, *args[1:]), kwargs

                stack.callback(layer.register_forward_pre_hook(changed, with_kwargs=True).remove)
        yield
