"""Decomposed prompts: a metaprompt times a factor pair per member (arXiv 2303.02861, 2604.06650)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor

from clinprompt.maths.decomposition import TaskFactors, compose
from clinprompt.prompts.source import ParameterGroup


class DecomposedPrompts:
    """N members' factors with one metaprompt for all (``shared``: the source stage) or one each (targets).

    ``metaprompt`` is ``[P, H]``. A target's own copy trains with the factors unless ``train_metaprompt`` is off; the
    papers leave open which of the two 2604.06650 does.
    """

    def __init__(
        self,
        metaprompt: Float[Tensor, "P H"],
        factors: Sequence[TaskFactors],
        *,
        shared: bool,
        train_metaprompt: bool = True,
    ) -> None:
        self.n_members, self.shared, self.train_metaprompt = len(factors), shared, train_metaprompt
        copies = 1 if shared else self.n_members
        self.metaprompt = metaprompt.detach().float().expand(copies, -1, -1).clone().requires_grad_(train_metaprompt)
        self.rows = torch.stack([factor.rows for factor in factors]).detach().clone().float().requires_grad_()
        self.cols = torch.stack([factor.cols for factor in factors]).detach().clone().float().requires_grad_()

    def vectors(self, members: Int[Tensor, " B"]) -> Float[Tensor, "B P H"]:
        """The members' composed prompts, row by row."""
        return self._composed()[members]

    def groups(self) -> list[ParameterGroup]:
        """``metaprompt`` (when it trains), ``rows`` and ``cols``."""
        groups = [
            ParameterGroup("rows", self.rows, per_member=True),
            ParameterGroup("cols", self.cols, per_member=True),
        ]
        if self.train_metaprompt:
            groups.insert(0, ParameterGroup("metaprompt", self.metaprompt, per_member=not self.shared))
        return groups

    def folded(self) -> Float[Tensor, "N P H"]:
        """The finished prompts as free vectors, without gradient: prediction needs no decomposition."""
        return self._composed().detach().clone()

    def factors(self) -> list[TaskFactors]:
        """The members' factor pairs, without gradient."""
        pairs = zip(self.rows.detach(), self.cols.detach(), strict=True)
        return [TaskFactors(rows.clone(), cols.clone()) for rows, cols in pairs]

    def _composed(self) -> Float[Tensor, "N P H"]:
        return compose(self.metaprompt.expand(self.n_members, -1, -1), self.rows, self.cols)
