"""A first look at the gradients: whether the backbone passes any back at all."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from clinprompt.errors import InputError
from clinprompt.prompts.headed import HEAD
from clinprompt.prompts.source import ParameterGroup


def refuse_silence(groups: Sequence[ParameterGroup], names: Sequence[str], losses: Tensor, *, new: Tensor) -> None:
    """Raise :class:`InputError` when a ``new`` member has a finite loss above zero and a gradient of zero everywhere.

    Some quantised layers give gradients that are exactly zero and raise nothing: such a prompt would never change.
    ``losses`` and ``new`` (bool) are ``[N]``, named by ``names``. A gradient of parameters that members share speaks
    for all of them.
    """
    moved = torch.zeros(len(names), dtype=torch.bool)
    # An encoder's scorers have a gradient of their own, also where the backbone passes none back to the prompt.
    for group in [group for group in groups if not group.name.startswith(HEAD)] or groups:
        if group.tensor.grad is not None:
            nonzero = group.tensor.grad.ne(0)
            moved |= (nonzero.reshape(len(names), -1).any(dim=1) if group.per_member else nonzero.any()).cpu()
    silent = new & ~moved & losses.isfinite() & (losses > 0)
    if bool(silent.any()):
        raise InputError(
            "the backbone gives no gradient: it is zero everywhere although the loss is not",
            where=", ".join(names[n] for n in silent.nonzero().flatten().tolist()),
            fix="load the backbone in another precision; some kinds of quantised weights pass nothing back to a prompt",
        )
