"""Decomposed prompts: a metaprompt times a factor pair per member (arXiv 2303.02861, 2604.06650)."""

from __future__ import annotations

from collections.abc import Sequence

from jaxtyping import Float, Int
from torch import Tensor

from clinprompt.maths.decomposition import Shift, TaskFactors, compose
from clinprompt.prompts.padded import padded
from clinprompt.prompts.source import ParameterGroup


class DecomposedPrompts:
    """N members' factors with one metaprompt for all (``shared``: the source stage) or one each (targets).

    ``metaprompt`` is ``[P, H]`` (``[L, P, H]`` with factors in every layer), or for targets a sequence of such, one per
    member. A target's own copy trains with the factors unless ``train_metaprompt`` is off; the papers leave open which
    of the two 2604.06650 does. With ``train_factors`` off the factors stay as they are: neutral ones make it one
    prompt, shared or each its own. Members may differ in length and rank. A member whose factors have fewer rows than
    the metaprompt uses its first vectors.
    Missing components have zero rows *and* zero columns: each is the other's gradient, so both stay zero for ever.
    Raises ``ValueError`` when a member's factors have more rows than its metaprompt.
    """

    def __init__(
        self,
        metaprompt: Float[Tensor, "*L P H"] | Sequence[Float[Tensor, "*L _ H"]],
        factors: Sequence[TaskFactors],
        *,
        shared: bool,
        train_metaprompt: bool = True,
        train_factors: bool = True,
        shift: Shift = "product",
    ) -> None:
        self.n_members, self.shared, self.shift = len(factors), shared, shift
        self.train_metaprompt, self.train_factors = train_metaprompt, train_factors
        self.lengths = tuple(pair.rows.shape[-2] for pair in factors)
        self.ranks = tuple(pair.rank for pair in factors)
        if isinstance(metaprompt, Tensor):
            own = [metaprompt] if shared else [metaprompt[..., :length, :] for length in self.lengths]
        else:
            own = list(metaprompt)
        if len(own) != (1 if shared else self.n_members):
            raise ValueError(f"{len(own)} metaprompts for {self.n_members} members, shared: {shared}")
        if any(length > own[0 if shared else n].shape[-2] for n, length in enumerate(self.lengths)):
            raise ValueError("a member's factors have more rows than its metaprompt has vectors")
        self.metaprompt = padded(own).requires_grad_(train_metaprompt)
        self.rows = padded(pair.rows for pair in factors).requires_grad_(train_factors)
        self.cols = padded(pair.cols for pair in factors).requires_grad_(train_factors)

    def vectors(self, members: Int[Tensor, " M"]) -> Float[Tensor, "M *L P H"]:
        """The members' composed prompts, padded to the longest of all; only these are composed."""
        metaprompt = self.metaprompt[..., : self.rows.shape[-2], :]
        metaprompt = metaprompt.expand(len(members), *metaprompt.shape[1:]) if self.shared else metaprompt[members]
        return compose(metaprompt, self.rows[members], self.cols[members], shift=self.shift)

    def heads(self, members: Int[Tensor, " M"]) -> dict[str, Tensor]:
        """None of its own."""
        return {}

    def groups(self) -> list[ParameterGroup]:
        """``metaprompt``, and ``rows`` and ``cols``, where these train."""
        groups = []
        if self.train_factors:
            groups = [ParameterGroup(name, getattr(self, name), per_member=True) for name in ("rows", "cols")]
        if self.train_metaprompt:
            groups.insert(0, ParameterGroup("metaprompt", self.metaprompt, per_member=not self.shared))
        return groups

    def folded(self) -> list[Float[Tensor, "*L _ H"]]:
        """The finished prompts in their own lengths, without gradient: prediction needs no decomposition."""
        found = zip(self.metaprompts(), self.factors(), strict=True)
        return [compose(vectors, pair.rows, pair.cols, shift=self.shift) for vectors, pair in found]

    def metaprompts(self) -> list[Float[Tensor, "*L _ H"]]:
        """What each member multiplies its factors with, in its own length, without gradient."""
        whole = self.metaprompt.detach().expand(self.n_members, *self.metaprompt.shape[1:])
        return [vectors[..., :length, :].clone() for vectors, length in zip(whole, self.lengths, strict=True)]

    def factors(self) -> list[TaskFactors]:
        """The members' factor pairs in their own lengths and ranks, without gradient."""
        whole = zip(self.rows.detach(), self.cols.detach(), self.lengths, self.ranks, strict=True)
        return [TaskFactors(u[..., :length, :rank].clone(), v[..., :rank, :].clone()) for u, v, length, rank in whole]

    def trainable(self, member: int) -> int:
        """How many numbers a member trains: of its metaprompt and of its factors, where these train."""
        pair = self.factors()[member]
        own = self.metaprompts()[member].numel() if self.train_metaprompt else 0
        return own + (pair.rows.numel() + pair.cols.numel() if self.train_factors else 0)
