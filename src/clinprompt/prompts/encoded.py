"""Prompts that a small network of their own writes from free vectors; it is folded away when training ends."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor

from clinprompt.maths.lstm import two_way_lstm
from clinprompt.prompts.padded import padded
from clinprompt.prompts.source import ParameterGroup

_LSTM_LAYERS = 2


class EncodedPrompts:
    """N prompts, each with its own free vectors ``[P, H]`` and its own encoder, trained in float32.

    ``mlp`` is H → ``width`` → H with a ReLU between, applied to every vector alone (residual prompt tuning, arXiv
    2305.03937, without the layer normalisation that it has behind). ``lstm`` is P-Tuning's encoder (arXiv 2103.10385):
    two bidirectional LSTM layers, ``width`` / 2 in each direction, then ``width`` → ``width`` → H; it has about 14 H²
    numbers when ``width`` is H.

    With ``residual`` the prompt is vectors + encoder(vectors) and begins as exactly the start: the encoder's last
    layer is zero. Without it the prompt is encoder(vectors), another one than the start; the last layer is scaled so
    that the whole prompt begins with the start's root mean square.

    ``seed`` draws the encoder's first weights, one for all members or one each; a member begins the same alone or in a
    gang. Raises ``ValueError`` for an odd width of an LSTM and for a wrong number of seeds.
    """

    def __init__(
        self,
        start: Float[Tensor, "N P H"] | Sequence[Float[Tensor, "_ H"]],
        *,
        encoder: Literal["mlp", "lstm"],
        width: int,
        seed: int | Sequence[int],
        residual: bool,
    ) -> None:
        self.lengths = tuple(len(vectors) for vectors in start)
        self.n_members, self.residual = len(self.lengths), residual
        self.values = padded(start)
        seeds = [seed] * self.n_members if isinstance(seed, int) else list(seed)
        if len(seeds) != self.n_members:
            raise ValueError(f"{len(seeds)} seeds for {self.n_members} members")
        shapes = _shapes(encoder, hidden=self.values.shape[-1], width=width)
        drawn = [_drawn(shapes, seed=own) for own in seeds]
        self.weights = {name: torch.stack([own[name] for own in drawn]).to(self.values.device) for name in shapes}
        self._set_last_layer()
        for tensor in (self.values, *self.weights.values()):
            tensor.requires_grad_()

    def vectors(self, members: Int[Tensor, " M"]) -> Float[Tensor, "M P H"]:
        """The members' encoded prompts, padded to the longest of all; only these are encoded."""
        values = self.values[members]
        lengths = tuple(self.lengths[n] for n in members.tolist())
        encoded = self._encoded(values, lengths, {name: tensor[members] for name, tensor in self.weights.items()})
        return values + encoded if self.residual else encoded

    def heads(self, members: Int[Tensor, " M"]) -> dict[str, Tensor]:
        """None of its own."""
        return {}

    def groups(self) -> list[ParameterGroup]:
        """``prompt``, the free vectors, and ``encoder/...``, its weights."""
        encoder = [ParameterGroup(f"encoder/{name}", tensor, per_member=True) for name, tensor in self.weights.items()]
        return [ParameterGroup("prompt", self.values, per_member=True), *encoder]

    @torch.no_grad()
    def folded(self) -> list[Float[Tensor, "_ H"]]:
        """The finished prompts in their own lengths, without gradient: prediction needs no encoder."""
        whole = self.vectors(torch.arange(self.n_members))
        return [vectors[:length].clone() for vectors, length in zip(whole, self.lengths, strict=True)]

    def trainable(self, member: int) -> int:
        """How many numbers a member trains, with its encoder, which is not part of the finished prompt."""
        own = sum(tensor[member].numel() for tensor in self.weights.values())
        return self.lengths[member] * self.values.shape[-1] + own

    def _encoded(
        self, values: Float[Tensor, "M P H"], lengths: tuple[int, ...], weights: dict[str, Tensor]
    ) -> Float[Tensor, "M P H"]:
        states = values
        for layer in range(_LSTM_LAYERS if "lstm_input_0" in weights else 0):
            states = two_way_lstm(
                states,
                lengths,
                input_weights=weights[f"lstm_input_{layer}"],
                state_weights=weights[f"lstm_state_{layer}"],
                biases=weights[f"lstm_bias_{layer}"],
            )
        inner = torch.baddbmm(weights["inner_bias"][:, None], states, weights["inner"].mT).relu()
        encoded = torch.baddbmm(weights["outer_bias"][:, None], inner, weights["outer"].mT)
        places = torch.arange(values.shape[1], device=values.device)
        within = places < torch.tensor(lengths, device=values.device)[:, None]
        return torch.where(within[:, :, None], encoded, 0.0)

    def _set_last_layer(self) -> None:
        if self.residual:
            scale = torch.zeros(self.n_members, device=self.values.device)
        else:
            encoded = self._encoded(self.values, self.lengths, self.weights)
            power = [x.square().sum(dim=(1, 2)) for x in (self.values, encoded)]
            scale = (power[0] / power[1].clamp_min(torch.finfo(torch.float32).tiny)).sqrt()
        for name in ("outer", "outer_bias"):
            self.weights[name] *= scale.reshape(-1, *[1] * (self.weights[name].ndim - 1))


def encoder_width(hidden: int) -> int:
    """The width of a prompt's encoder on a backbone of so many hidden numbers: the same, made even."""
    return hidden + hidden % 2


def encoder_numbers(encoder: Literal["none", "mlp", "lstm"], *, hidden: int) -> int:
    """How many numbers one prompt's encoder of :func:`encoder_width` has.

    >>> encoder_numbers("lstm", hidden=1024) / 1024**2
    14.009765625
    """
    if encoder == "none":
        return 0
    shapes = _shapes(encoder, hidden=hidden, width=encoder_width(hidden))
    return sum(math.prod(shape) for shape, _ in shapes.values())


def _shapes(encoder: str, *, hidden: int, width: int) -> dict[str, tuple[tuple[int, ...], int]]:
    """The shape of each tensor and the fan-in that bounds its first values, as torch.nn.Linear and LSTM have it."""
    shapes: dict[str, tuple[tuple[int, ...], int]] = {}
    entering = hidden
    if encoder == "lstm":
        if width % 2:
            raise ValueError(f"an LSTM of two directions has an even width, not {width}")
        state = width // 2
        for layer in range(_LSTM_LAYERS):
            shapes[f"lstm_input_{layer}"] = ((2, 4 * state, entering), state)
            shapes[f"lstm_state_{layer}"] = ((2, 4 * state, state), state)
            shapes[f"lstm_bias_{layer}"] = ((2, 4 * state), state)
            entering = width
    shapes |= {"inner": ((width, entering), entering), "inner_bias": ((width,), entering)}
    return shapes | {"outer": ((hidden, width), width), "outer_bias": ((hidden,), width)}


def _drawn(shapes: dict[str, tuple[tuple[int, ...], int]], *, seed: int) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    found = {}
    for name, (shape, entering) in shapes.items():
        found[name] = torch.empty(shape).uniform_(-1, 1, generator=generator) / entering**0.5
    return found
