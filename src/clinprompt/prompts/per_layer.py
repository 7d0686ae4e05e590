"""Prompts with vectors of their own for every layer (VPT-deep, arXiv 2203.12119; P-Tuning v2, arXiv 2110.07602)."""

from __future__ import annotations

from collections.abc import Sequence

from jaxtyping import Float
from torch import Tensor

from clinprompt.prompts.plain import PlainPrompts


class PerLayerPrompts(PlainPrompts):
    """N free prompts, each ``[L, P, H]``: layer l of the backbone sees vectors l. Their lengths P may differ.

    P-Tuning v2 puts keys and values into every layer; here it is hidden states, as in VPT-deep, which every stock
    network takes. Raises ``ValueError`` when a start is not ``[L, P, H]`` or members differ in layers.
    """

    def __init__(self, start: Float[Tensor, "N L P H"] | Sequence[Float[Tensor, "L _ H"]]) -> None:
        shapes = [tuple(vectors.shape) for vectors in start]
        if any(len(shape) != 3 for shape in shapes) or len({shape[0] for shape in shapes}) > 1:
            raise ValueError(f"starts of prompts per layer have the shapes {shapes}, not [L, P, H] with one L")
        super().__init__(start)
