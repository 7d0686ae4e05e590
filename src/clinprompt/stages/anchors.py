"""What holds the prompts of cells to their start, where a method asks for it."""

from __future__ import annotations

import torch

from clinprompt.backbones.protocol import Placement
from clinprompt.maths.decomposition import compose
from clinprompt.maths.prior import source_variance
from clinprompt.prompts.headed import member_heads
from clinprompt.prompts.prompt_file import Metaprompt
from clinprompt.prompts.source import FoldableSource
from clinprompt.stages.adapted import Applied
from clinprompt.stages.methods import Mpt
from clinprompt.training.anchor import Anchor, Prior
from clinprompt.training.objectives import Distillation, ReadingDistillation

KEPT = 256
"""How many of the start's likeliest tokens are told apart, as in distillation."""


def anchor_of(method: Mpt, metaprompt: Metaprompt, source: FoldableSource) -> Anchor | None:
    """The anchor of prompts before their training; ``None`` for a method that asks for none."""
    answers = _answers(method, metaprompt, source) if method.kl_to_start else None
    prior = _prior(method, metaprompt, source) if method.prior else None
    return Anchor(answers, prior) if answers or prior else None


def _answers(method: Mpt, metaprompt: Metaprompt, source: FoldableSource) -> Distillation | ReadingDistillation:
    """Each member's own start as its teacher, by its answers alone."""
    placement, starts = Placement(metaprompt.card.placement), source.folded()
    weights = [method.kl_to_start] * len(starts)
    if not member_heads(source, 0):
        return Distillation(starts, placement, weights, hidden_layers=(), top_k=KEPT)
    teachers = [Applied(vectors, placement, member_heads(source, n)) for n, vectors in enumerate(starts)]
    return ReadingDistillation(teachers, placement, weights, hidden_layers=())


def _prior(method: Mpt, metaprompt: Metaprompt, source: FoldableSource) -> Prior:
    """A Gaussian round each member's start, as wide as the sources' prompts are."""
    start, shift = metaprompt.vectors, metaprompt.card.shift
    pairs = metaprompt.factors.values()
    prompts = [compose(start, pair.rows, pair.cols, shift=shift) for pair in pairs] or [start]
    centres = source.folded()
    variance = source_variance(torch.stack(prompts))
    return Prior(source, centres, [variance] * len(centres), [method.prior] * len(centres))
