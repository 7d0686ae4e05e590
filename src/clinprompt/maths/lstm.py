"""A bidirectional LSTM layer for many members side by side, each with its own weights and its own length."""

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

    Member m's layer runs over its first ``lengths[m]`` inputs, from both ends. G = 4·S: input gate, forget gate, new
    content, output gate (Hochreiter and Schmidhuber 1997; Gers et al. 2000).
    """
    S = state_weights.shape[-1]
    begin, nothing = inputs.new_zeros(2, 1, S), inputs.new_zeros(4 * S)
    found = []
    # One member after the other: the stock layer takes one set of weights, and products of all members' weights in a
    # batch took about 3 times as long on a processor. cuDNN would copy weights that are not one block in every call.
    with torch.backends.cudnn.flags(enabled=False):
        for x, length, entering, recurrent, bias in zip(
            inputs, lengths, input_weights, state_weights, biases, strict=True
        ):
            weights = [tensor for way in (0, 1) for tensor in (entering[way], recurrent[way], bias[way], nothing)]
            states, _, _ = torch.lstm(x[None, :length], (begin, begin), weights, True, 1, 0.0, False, True, True)
            found.append(torch.nn.functional.pad(states[0], (0, 0, 0, x.shape[0] - length)))
    return torch.stack(found)
