"""Training the backbone's own weights, as the baselines do: low-rank updates or all of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from clinprompt.backbones.causal import CausalBackbone
from clinprompt.prompts.source import ParameterGroup


class WeightSource:
    """A source without prompts whose one member is the backbone itself: its trainable weights."""

    n_members = 1
    lengths = (0,)

    def __init__(self, backbone: CausalBackbone) -> None:
        self.named = {name: weight for name, weight in backbone.model.named_parameters() if weight.requires_grad}

    def vectors(self, members: Tensor) -> None:
        """No prompt."""

    def heads(self, members: Tensor) -> dict[str, Tensor]:
        """None of its own."""
        return {}

    def groups(self) -> Sequence[ParameterGroup]:
        """Every trainable weight, shared by nobody but the one member."""
        return [ParameterGroup(name, weight, per_member=False) for name, weight in self.named.items()]

    @property
    def trainable(self) -> int:
        """Number of trainable numbers, counted from the tensors."""
        return sum(weight.numel() for weight in self.named.values())

    def save(self, path: Path) -> None:
        """Write the trained weights as one safetensors file."""
        path.parent.mkdir(parents=True, exist_ok=True)
        save_file({name: weight.detach().cpu().contiguous() for name, weight in self.named.items()}, path)


@contextmanager
def all_weights(backbone: CausalBackbone) -> Iterator[WeightSource]:
    """Make every weight trainable; on leaving, the backbone is as it was before, bit for bit."""
    before = {name: weight.detach().clone() for name, weight in backbone.model.named_parameters()}
    backbone.model.requires_grad_(True)
    backbone.altered = True
    try:
        yield WeightSource(backbone)
    finally:
        backbone.freeze()
        _copy(backbone, before)
        backbone.altered = False


@contextmanager
def weights_applied(backbone: CausalBackbone, path: Path) -> Iterator[None]:
    """The backbone with saved weights in place of its own, for the length of a ``with``."""
    saved = load_file(path)
    own = {name: weight.detach().clone() for name, weight in backbone.model.named_parameters() if name in saved}
    backbone.altered = True
    try:
        _copy(backbone, saved)
        yield
    finally:
        _copy(backbone, own)
        backbone.altered = False


@torch.no_grad()
def _copy(backbone: CausalBackbone, values: dict[str, Tensor]) -> None:
    for name, weight in backbone.model.named_parameters():
        if name in values:
            weight.copy_(values[name])
