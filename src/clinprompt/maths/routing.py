"""Mixtures of low-rank prompt factors, each segment of a prompt with gates of its own, after PT-MoE (2505.09519)."""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor


def segment_of(P: int, S: int) -> Int[Tensor, " P"]:
    """Return the segment of each of ``P`` vectors: ``S`` runs of neighbours, as even as can be.

    >>> segment_of(5, 2).tolist()
    [0, 0, 0, 1, 1]
    """
    return torch.arange(P) * S // P


def routed(
    rows: Float[Tensor, "*A K P R"], cols: Float[Tensor, "*B F R H"], gates: Float[Tensor, "*N S K"]
) -> Float[Tensor, "*N P H"]:
    """Return Σ_k g_sk A_k B_k, vector by vector with the gates of its segment s.

    ``rows`` are the A_k, ``[..., K, P, R]``, ``cols`` the B_k, ``[..., K, R, H]``, or the one B that all share,
    ``[..., 1, R, H]``. Members may stand before the K of each of the three; where ``rows`` or ``cols`` have none, all
    members have the same.
    """
    K, P, R = rows.shape[-3:]
    by_vector = gates[..., segment_of(P, gates.shape[-2]).to(gates.device), :].mT  # [*N, K, P]
    weighted = rows * by_vector[..., None]
    if cols.shape[-3] == 1:
        return weighted.sum(dim=-3) @ cols[..., 0, :, :]
    # The experts' components side by side: one product, and never a [K, P, H] for each member.
    side_by_side = weighted.movedim(-3, -2).reshape(*weighted.shape[:-3], P, K * R)
    return side_by_side @ cols.flatten(-3, -2)


def expert_factors(
    start: Float[Tensor, "P H"], *, experts: int, rank: int, seed: int, noise: float = 0.1
) -> tuple[Float[Tensor, "K P R"], Float[Tensor, "1 R H"]]:
    """Return K row factors and one shared column factor, each product near the best rank-R part of ``start``.

    Both come from the singular value decomposition of ``start``, as in the paper. The experts' rows differ by Gaussian
    noise, ``noise`` times their root mean square: equal ones would have equal gradients and stay equal. It also gives
    components that the start does not have a gradient: their columns are zero.
    """
    left, values, right = torch.linalg.svd(start.double(), full_matrices=False)
    scale = values[:rank].sqrt()
    rows, cols = left[:, :rank] * scale, scale[:, None] * right[:rank]
    drawn = torch.randn(experts, *rows.shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    spread = noise * rows.square().mean().sqrt()
    return (rows + spread * drawn).to(start.dtype), cols[None].to(start.dtype)
