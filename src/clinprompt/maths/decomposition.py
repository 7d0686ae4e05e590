"""A task's prompt from what all tasks share and what is its own: P_k = P* ∘ Σ_r u_kr v_krᵀ (arXiv 2303.02861, §3.2).

The additive shift P_k = P* + Σ_r u_kr v_krᵀ is an ablation of ours of the product: a low-rank update as in LoRA
(arXiv 2106.09685, section 4.1), of the prompt in place of a weight.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

Shift = Literal["product", "additive"]
"""How factors act on the metaprompt: entry by entry as a product, or added to it."""


@dataclass(frozen=True, slots=True)
class TaskFactors:
    """The factor pair of one task: ``rows`` ``[P, R]`` (u) and ``cols`` ``[R, H]`` (v), float32.

    A prompt in every layer has a pair in each, ``[L, P, R]`` and ``[L, R, H]``.
    """

    rows: Tensor
    cols: Tensor

    @property
    def rank(self) -> int:
        """Number of components R."""
        return self.rows.shape[-1]


def compose(
    metaprompt: Float[Tensor, "*N P H"],
    rows: Float[Tensor, "*N P R"],
    cols: Float[Tensor, "*N R H"],
    *,
    shift: Shift = "product",
) -> Float[Tensor, "*N P H"]:
    """Return the prompts P* ∘ (rows · cols), elementwise product of the metaprompt and a rank-R matrix.

    With the ``additive`` shift they are P* + rows · cols.

    Shapes are exact: nothing is broadcast, so a metaprompt of the wrong length is refused in tests rather than
    silently repeated. Expand a shared metaprompt to ``[N, P, H]`` before the call.

    >>> meta = torch.arange(6.0).reshape(2, 3)
    >>> factors = neutral_factors(2, 3, 2, seed=0)
    >>> torch.equal(compose(meta, factors.rows, factors.cols), meta)
    True
    """
    change = rows @ cols
    return metaprompt + change if shift == "additive" else metaprompt * change


def neutral_factors(
    P: int, H: int, R: int, *, seed: int, shift: Shift = "product", layers: tuple[int, ...] = ()
) -> TaskFactors:
    """Return factors whose product is exactly one everywhere, so that an untrained prompt equals the metaprompt.

    Component 1 is all ones. The others have random rows and zero columns: their product is zero, yet no two of
    them have the same gradient, so they do not stay identical in training. With the ``additive`` shift all components
    are of this second kind, and the product is exactly zero. ``layers`` ``(L,)`` gives a pair for each of L layers.
    """
    generator = torch.Generator().manual_seed(seed)
    if shift == "additive":
        return TaskFactors(torch.randn(*layers, P, R, generator=generator), torch.zeros(*layers, R, H))
    rows = torch.ones(*layers, P, R)
    cols = torch.zeros(*layers, R, H)
    cols[..., 0, :] = 1.0
    if R > 1:
        rows[..., 1:] = torch.randn(*layers, P, R - 1, generator=generator)
    return TaskFactors(rows, cols)


def mean_of_products(rows: Float[Tensor, "K *L P R"], cols: Float[Tensor, "K *L R H"], *, rank: int) -> TaskFactors:
    """Return the best rank-``rank`` factors of the mean product (1/K) Σ_k rows_k · cols_k.

    The mean of rows times the mean of columns is not the mean of the products, and factors that differ only by a
    sign would cancel there; the truncated singular value decomposition of the mean product has neither fault.
    Singular values are shared evenly between the two factors, and each component's sign is chosen so that its
    rows have a positive sum.
    """
    mean = (rows @ cols).mean(dim=0)  # [*L, P, H]
    left, values, right = torch.linalg.svd(mean.double(), full_matrices=False)
    scale = values[..., :rank].sqrt()
    sign = torch.where(left[..., :rank].sum(dim=-2) < 0, -1.0, 1.0).double()
    rows_mean = left[..., :rank] * (scale * sign)[..., None, :]
    cols_mean = (scale * sign)[..., None] * right[..., :rank, :]
    return TaskFactors(rows_mean.to(rows.dtype), cols_mean.to(cols.dtype))


def widen(factors: TaskFactors, *, rank: int, seed: int) -> TaskFactors:
    """Return factors of a larger rank with the same product: added components have random rows and zero columns."""
    *layers, P, _ = factors.rows.shape
    extra = rank - factors.rank
    if extra <= 0:
        return factors
    generator = torch.Generator().manual_seed(seed)
    rows = torch.cat([factors.rows, torch.randn(*layers, P, extra, generator=generator)], dim=-1)
    cols = torch.cat([factors.cols, torch.zeros(*layers, extra, factors.cols.shape[-1])], dim=-2)
    return TaskFactors(rows, cols)
