"""Which backbones fit into the memory of a machine."""

from __future__ import annotations

from dataclasses import dataclass

GIB = 1024**3

_TOKENS = 1024
"""Tokens of the one row (prompt, note, answer) that the estimate of training is for."""

_RUNTIME = 1.5 * GIB
"""Room for the libraries, a batch of one and the keys and values of a long note."""


@dataclass(frozen=True, slots=True)
class Size:
    """The numbers of a decoder that decide its memory; ``eager`` when attention scores are kept."""

    name: str
    parameters: float
    layers: int
    hidden: int
    heads: int
    eager: bool = False

    @property
    def weights(self) -> float:
        """Bytes of the weights in bfloat16."""
        return 2 * self.parameters

    @property
    def predict(self) -> float:
        """Bytes to predict with one note at a time."""
        return self.weights + _RUNTIME

    @property
    def train(self) -> float:
        """Bytes to train prompts on one row of 1,024 tokens, all activations kept.

        34·T·H bytes per layer, and 5·heads·T² where scores are kept (Korthikanti et al. 2022, 16-bit
        numbers); an upper bound, as frozen weights need fewer activations.
        """
        scores = 5 * self.heads * _TOKENS**2 if self.eager else 0
        return self.predict + self.layers * (34 * _TOKENS * self.hidden + scores)


BACKBONES = (
    Size("Llama-3.1-8B", parameters=8.03e9, layers=32, hidden=4096, heads=32),
    Size("Meditron3-8B", parameters=8.03e9, layers=32, hidden=4096, heads=32),
    Size("gpt-oss-20B", parameters=20.9e9, layers=24, hidden=2880, heads=64, eager=True),
)
"""The backbones of arXiv 2604.06650."""


def verdict(need: float, memory: float, *, accelerator: bool, parameters: float) -> str:
    """Whether a need fits into ``memory`` bytes: ``yes``, ``slow`` (a large model on a processor) or ``no``.

    >>> verdict(20e9, 16e9, accelerator=True, parameters=8e9)
    'no'
    """
    if need > memory:
        return "no"
    return "yes" if accelerator or parameters < 1e9 else "slow"
