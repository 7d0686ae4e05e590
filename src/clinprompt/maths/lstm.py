"""A bidirectional LSTM layer for many members at once, each with its own weights and its own length."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor


def two_way_lstm(
    inputs: Float[Tensor, "M P I"],
    lengths: tuple[int, ...],
    *,
    input_weights: Float[Tensor, "M 2 G I"],
    state_weights: Float[Tensor, "M 2 G S"],
    biases: Float[Tensor, "M 2 G"],
) -> Float[Tensor, "M P O"]:
    """Return the states of both directions side by side (O = 2·S), zero behind each member's length.

    Member m's layer equals ``torch.nn.LSTM(I, S, bidirectional=True)`` run on its first ``lengths[m]`` inputs, with the
    two biases of that class in one. G = 4·S: input gate, forget gate, new content, output gate (Hochreiter and
    Schmidhuber 1997; Gers et al. 2000). ``torch.nn.LSTM`` has one set of weights for all sequences of a batch.
    """
    M, P, _ = inputs.shape
    both = torch.arange(P, device=inputs.device).expand(M, P)
    ends = torch.tensor(lengths, device=inputs.device)[:, None]
    # Reversed within its own length, so that the way back begins at a member's last input and not at its padding.
    back = torch.where(both < ends, ends - 1 - both, both)[:, :, None]
    ways = torch.stack([inputs, inputs.take_along_dim(back, dim=1)], dim=1)  # [M, 2, P, I]
    gates = (ways @ input_weights.mT + biases[:, :, None]).flatten(0, 1)  # [2M, P, G]
    recurrent = state_weights.flatten(0, 1).mT  # [2M, S, G]
    state = cell = inputs.new_zeros(2 * M, 1, recurrent.shape[1])
    states = []
    for step in gates.split(1, dim=1):
        enter, forget, content, leave = torch.baddbmm(step, state, recurrent).chunk(4, dim=-1)
        cell = forget.sigmoid() * cell + enter.sigmoid() * content.tanh()
        state = leave.sigmoid() * cell.tanh()
        states.append(state)
    forth, reverse = torch.cat(states, dim=1).unflatten(0, (M, 2)).unbind(dim=1)
    found = torch.cat([forth, reverse.take_along_dim(back, dim=1)], dim=-1)
    return torch.where((both < ends)[:, :, None], found, 0.0)
