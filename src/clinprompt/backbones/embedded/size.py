"""Sizes of the embedded model, by name."""

from __future__ import annotations

from dataclasses import dataclass

from clinprompt.errors import InputError


@dataclass(frozen=True, slots=True)
class Size:
    """Shape of the model, and how it is trained.

    ``batch_tokens`` are the padded tokens of one update, over all processes together, so that a run learns the same
    with any number of them; ``sequences_at_a_time`` are drawn and sorted by length together in each process.
    """

    name: str = "base"
    vocabulary: int = 2048
    hidden: int = 128
    layers: int = 6
    heads: int = 4
    feed_forward: int = 352
    batch_tokens: int = 4096
    learning_rate: float = 2e-3
    warm_up_steps: int = 60
    tokenizer_notes: int = 6000
    sequences_at_a_time: int = 1500


SIZES = {
    size.name: size
    for size in (
        Size(name="small", hidden=64, heads=2, feed_forward=176),  # 0.43 M weights
        Size(name="base"),  # 1.47 M weights
        Size(name="large", hidden=192, heads=6, feed_forward=512),  # 3.05 M weights
    )
}
"""All heads are 32 wide, which gives a match of the induction heads nine slow rotary pairs."""


def named_size(name: str) -> Size:
    """The size of this name; raises :class:`InputError` for an unknown one."""
    if name not in SIZES:
        raise InputError(f"there is no size {name!r}", where="--size", allowed=", ".join(SIZES))
    return SIZES[name]
