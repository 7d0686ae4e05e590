"""A frozen backbone too large for one GPU: each process holds a part of every layer's weights (FSDP2)."""

from __future__ import annotations

import warnings
from typing import Any

import torch
import torch.distributed as dist

from clinprompt.errors import InputError


def shard(model: Any, device: torch.device) -> Any:
    """Divide the decoder layers of a frozen model among all processes; the rest is whole on each of them.

    A layer's weights are gathered before it runs, forwards and backwards, and let go after. Embeddings, last norm
    and output head stay whole, because prompts start from them and read their scale. Raises :class:`InputError`
    without processes to share with, and for weights that are not plain floating-point numbers.
    """
    if not dist.is_initialized():
        raise InputError(
            "a sharded backbone needs several processes",
            where="backbone.sharded",
            fix="start the command with torchrun, as in docs/guides/several-gpus.md",
        )
    if any(type(weight.data) is not torch.Tensor or not weight.is_floating_point() for weight in model.parameters()):
        raise InputError(
            "quantised weights cannot be sharded", where="backbone.sharded", fix="leave one of the two out"
        )
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import fully_shard

    decoder = model.get_decoder()
    layers = set(decoder.layers.parameters())
    whole = [weight for weight in model.parameters() if weight not in layers]
    for weight in whole:
        weight.data = weight.data.to(device)
    mesh = init_device_mesh(device.type, (dist.get_world_size(),))
    for layer in decoder.layers:
        fully_shard(layer, mesh=mesh)
    # The root lets a layer's weights be fetched while the one before it is computing. It works through hooks; the class
    # that it puts in the decoder's place is taken back, for transformers finds hidden states by the name of the class.
    plain = type(decoder)
    # Hidden states begin with a view of the embeddings; nothing here changes one in place.
    warnings.filterwarnings("ignore", message="FSDP2-wrapped module .* returned a view", category=UserWarning)
    fully_shard(decoder, mesh=mesh, ignored_params=set(whole))
    decoder.__class__ = plain
    return model


def is_sharded(backbone: Any) -> bool:
    """Whether the backbone's weights are divided among processes, so that all must run it equally often."""
    from torch.distributed.fsdp import FSDPModule  # nearly a second of imports that few runs need

    layers = getattr(getattr(backbone, "decoder", None), "layers", [None])
    return isinstance(layers[0], FSDPModule)
