"""Notices a prompt that has gone silent: reference logits on a fixed synthetic sentence, made once, checked at load."""

from __future__ import annotations

import torch
from torch import Tensor

from clinprompt.backbones.causal import CausalBackbone
from clinprompt.backbones.protocol import Placement, PromptVectors, Row
from clinprompt.errors import InputError
from clinprompt.prompts.bank import SoftPrompt
from clinprompt.prompts.card import Reference
from clinprompt.schema.formulated import Piece, TextPair

SENTENCE = "MEDICATIONS: takes aspirin 81 mg PO daily for angina."
STRONGEST = 8


def reference(backbone: CausalBackbone, vectors: Tensor, placement: Placement) -> Reference:
    """The strongest next-token logits after the fixed sentence, and the same tokens' logits without the prompt."""
    row = _row(backbone)
    with torch.no_grad():
        prompted = _logits(backbone, row, PromptVectors(vectors[None], placement))
        bare = _logits(backbone, row, None)
    top = prompted.topk(STRONGEST).indices
    return Reference(
        tokens=tuple(top.tolist()),
        with_prompt=tuple(round(value, 5) for value in prompted[top].tolist()),
        without_prompt=tuple(round(value, 5) for value in bare[top].tolist()),
    )


def check_reference(backbone: CausalBackbone, prompt: SoftPrompt, *, where: str, tolerance: float = 0.02) -> None:
    """Raise :class:`InputError` when the prompt no longer does what it did when it was made.

    ``tolerance`` is relative to the spread of the recorded logits (rounding differs between machines and dtypes:
    half precision is allowed 5 times as much).
    """
    recorded = prompt.card.reference
    if recorded is None:
        return
    found = reference(backbone, prompt.vectors, Placement(prompt.card.placement))
    now = _values(backbone, prompt, recorded.tokens)
    expected = torch.tensor(recorded.with_prompt)
    scale = max(1.0, float(expected.abs().max()))
    exact = backbone.embeddings.dtype in (torch.float32, torch.float64) and backbone.autocast is None
    worst = float((now - expected).abs().max()) / scale
    if worst > (tolerance if exact else 5 * tolerance) or found.with_prompt == found.without_prompt:
        raise InputError(
            f"the prompt does not act as it did when it was made: reference logits differ by {worst:.1%}",
            where=where,
            fix="use the library versions named in the prompt's card, or train the prompt again",
        )


def _values(backbone: CausalBackbone, prompt: SoftPrompt, tokens: tuple[int, ...]) -> Tensor:
    placement = Placement(prompt.card.placement)
    with torch.no_grad():
        logits = _logits(backbone, _row(backbone), PromptVectors(prompt.vectors[None], placement))
    return logits[list(tokens)]


def _row(backbone: CausalBackbone) -> Row:
    pair = TextPair(context=(Piece(SENTENCE),), cue=(Piece(":"),), answer="")
    return backbone.encode(pair, name="reference sentence", reserve=0)


def _logits(backbone: CausalBackbone, row: Row, prompts: PromptVectors | None) -> Tensor:
    return backbone.forward([row], prompts).logits[0].float().cpu()
