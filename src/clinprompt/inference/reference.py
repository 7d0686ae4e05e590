"""Notices a prompt that has gone silent: reference logits on a fixed synthetic sentence, made once, checked at load."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from clinprompt.backbones.causal import CausalBackbone
from clinprompt.backbones.encoder import EncoderBackbone
from clinprompt.backbones.heads import match_logits
from clinprompt.backbones.protocol import Placement, PromptVectors, ReadingRow
from clinprompt.errors import InputError
from clinprompt.prompts.card import Reference
from clinprompt.prompts.prompt_file import SoftPrompt
from clinprompt.schema.formulated import Piece, SpanQuestion, TextPair

SENTENCE = "MEDICATIONS: takes aspirin 81 mg PO daily for angina."
STRONGEST = 8


def reference(
    backbone: CausalBackbone | EncoderBackbone,
    vectors: Tensor,
    placement: Placement,
    heads: Mapping[str, Tensor] | None = None,
) -> Reference:
    """The strongest logits on the fixed sentence, and the same without the prompt.

    Of a decoder those of the next token; of an encoder those of the sentence's tokens as borders of an answer, as both
    of its borders, and the biases, so that every scorer is heard. ``tokens`` are places in these lists, one
    behind the other.
    """
    prompted, bare = _logits(backbone, vectors, placement, heads or {})
    strongest = prompted.topk(min(STRONGEST, prompted.shape[1]), dim=1).indices
    top = (strongest + torch.arange(len(prompted))[:, None] * prompted.shape[1]).flatten()
    return Reference(
        tokens=tuple(top.tolist()),
        with_prompt=tuple(round(value, 5) for value in prompted.flatten()[top].tolist()),
        without_prompt=tuple(round(value, 5) for value in bare.flatten()[top].tolist()),
    )


def check_reference(
    backbone: CausalBackbone | EncoderBackbone, prompt: SoftPrompt, *, where: str, tolerance: float = 0.02
) -> None:
    """Raise :class:`InputError` when the prompt no longer does what it did when it was made.

    ``tolerance`` is relative to the largest of the recorded logits of a kind (rounding differs between machines and
    dtypes: half precision is allowed 5 times as much).
    """
    recorded = prompt.card.reference
    if recorded is None:
        return
    prompted, bare = _logits(backbone, prompt.vectors, Placement(prompt.card.placement), prompt.heads)
    if prompt.vectors.numel() and torch.equal(prompted, bare):
        what = "the prompt has no effect on this backbone"
    else:
        places, T = list(recorded.tokens), prompted.shape[1]
        expected = torch.zeros_like(prompted).flatten()
        expected[places] = torch.tensor(recorded.with_prompt)
        changed = torch.zeros_like(expected)
        changed[places] = (prompted.flatten()[places] - expected[places]).abs()
        largest = expected.view(-1, T).abs().amax(1).clamp_min(1.0)
        worst = float((changed.view(-1, T).amax(1) / largest).max())
        exact = backbone.embeddings.dtype in (torch.float32, torch.float64) and backbone.autocast is None
        if worst <= (tolerance if exact else 5 * tolerance):
            return
        what = f"the prompt does not act as it did when it was made: reference logits differ by {worst:.1%}"
    raise InputError(
        what, where=where, fix="use the library versions named in the prompt's card, or train the prompt again"
    )


@torch.no_grad()
def _logits(
    backbone: CausalBackbone | EncoderBackbone, vectors: Tensor, placement: Placement, heads: Mapping[str, Tensor]
) -> tuple[Tensor, Tensor]:
    """Logits on the fixed sentence with and without the prompt ``[P, H]``: ``[1, V]``, of an encoder ``[5, T]``."""
    if isinstance(backbone, EncoderBackbone):
        asked = backbone.ask(
            SpanQuestion("drug", "drug", SENTENCE), name="reference sentence", reserve=vectors.shape[-2]
        )
        stacked = {name: tensor[None] for name, tensor in heads.items()}
        found = (PromptVectors(one[None], placement, heads=stacked) for one in (vectors, vectors[..., :0, :]))
        prompted, bare = (_scores(backbone, asked, one) for one in found)
        return prompted, bare
    pair = TextPair(context=(Piece(SENTENCE),), cue=(Piece(":"),), answer="")
    row = backbone.encode(pair, name="reference sentence", reserve=vectors.shape[0])
    outputs = (backbone.forward([row], prompts) for prompts in (PromptVectors(vectors[None], placement), None))
    prompted, bare = (output.logits[:1].float().cpu() for output in outputs)
    return prompted, bare


def _scores(backbone: EncoderBackbone, row: ReadingRow, prompts: PromptVectors) -> Tensor:
    """Of each token of a context the logits of being a first one, a last one, and both, and their biases: ``[5, T]``.

    The first two are counted from their biases, which stand by themselves: else these would drown what a prompt does.
    """
    output = backbone.forward([row], prompts, hidden_layers=(-1,))
    assert output.hidden is not None
    alone = torch.arange(len(output.edges), device=output.edges.device)
    heads = {name: tensor.to(output.edges.device) for name, tensor in prompts.heads.items()}
    both = match_logits(output.hidden, torch.stack([alone, alone], dim=1), torch.zeros_like(alone), heads)
    bias = heads["edge_bias"][0, :, None].expand(2, len(alone))
    return torch.cat([output.edges.T - bias, both[None], bias]).float().cpu()
