"""Tensors of different sizes in one: what lets prompts of different lengths and ranks train side by side."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor


def padded(tensors: Iterable[Tensor]) -> Tensor:
    """Return float32 copies side by side, each filled up with zeros behind to the largest size in every dimension.

    >>> padded([torch.ones(1, 2), torch.ones(2, 1)]).tolist()
    [[[1.0, 1.0], [0.0, 0.0]], [[1.0, 0.0], [1.0, 0.0]]]
    """
    found = list(tensors)
    largest = [max(sizes) for sizes in zip(*(tensor.shape for tensor in found), strict=True)]
    whole = torch.zeros(len(found), *largest, device=found[0].device)
    for place, tensor in zip(whole, found, strict=True):
        place[tuple(slice(size) for size in tensor.shape)] = tensor.detach()
    return whole
