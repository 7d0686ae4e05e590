"""Notices a prompt that has gone silent: reference logits on a fixed synthetic sentence, made once, checked at load."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import torch
from torch import Tensor

from clinprompt.backbones.causal import CausalBackbone
from clinprompt.backbones.encoder import EncoderBackbone
from clinprompt.backbones.heads import match_logits
from clinprompt.backbones.protocol import Placement, PromptVectors, ReadingRow
from clinprompt.errors import InputError
from clinprompt.prompts.card import Reference
from clinprompt.prompts.padded import padded
from clinprompt.prompts.prompt_file import SoftPrompt
from clinprompt.schema.formulated import Piece, SpanQuestion, TextPair

SENTENCE = "MEDICATIONS: takes aspirin 81 mg PO daily for angina."
STRONGEST = 8
TOGETHER = 64
"""Most prompts that are checked in one batch."""

_TOKENS = 8192


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
    [prompted], [bare] = _logits(backbone, [vectors], placement, [heads or {}])
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
    [prompted], [bare] = _logits(backbone, [prompt.vectors], Placement(prompt.card.placement), [prompt.heads])
    if prompt.vectors.numel() and torch.equal(prompted, bare):
        what = "the prompt has no effect on this backbone"
    else:
        worst = _worst(prompted, recorded)
        if worst <= _allowed(backbone, tolerance):
            return
        what = f"the prompt does not act as it did when it was made: reference logits differ by {worst:.1%}"
    raise InputError(
        what, where=where, fix="use the library versions named in the prompt's card, or train the prompt again"
    )


def reference_faults(
    backbone: CausalBackbone | EncoderBackbone, prompts: Mapping[str, SoftPrompt], *, tolerance: float = 0.02
) -> dict[str, InputError]:
    """What :func:`check_reference` says of each prompt, by where it stands, of those that it refuses.

    Prompts are run together; what a batch leaves in doubt, a prompt that hardly moves the logits too, is run alone.
    """
    asked = {where: prompt for where, prompt in prompts.items() if prompt.card.reference is not None}
    heard = {where for part in _parts(asked) for where in _heard(backbone, part, tolerance)}
    faults = {}
    for where in (where for where in asked if where not in heard):
        try:
            check_reference(backbone, asked[where], where=where, tolerance=tolerance)
        except InputError as fault:
            faults[where] = fault
    return faults


def _parts(prompts: Mapping[str, SoftPrompt]) -> Iterator[dict[str, SoftPrompt]]:
    """Prompts of one form that can share a batch."""
    open_: dict[object, dict[str, SoftPrompt]] = {}
    for where, prompt in prompts.items():
        heads = tuple(sorted((name, tensor.shape) for name, tensor in prompt.heads.items()))
        form = prompt.card.placement, prompt.vectors.ndim, heads
        part = open_.setdefault(form, {})
        longest = max(one.vectors.shape[-2] for one in (prompt, *part.values()))
        if part and (len(part) == TOGETHER or longest * (len(part) + 1) > _TOKENS):
            yield open_.pop(form)
            part = open_.setdefault(form, {})
        part[where] = prompt
    yield from open_.values()


def _heard(
    backbone: CausalBackbone | EncoderBackbone, part: Mapping[str, SoftPrompt], tolerance: float
) -> Iterator[str]:
    """The prompts of a batch that surely do what they did."""
    if len(part) == 1:
        return
    prompts = list(part.values())
    placement = Placement(prompts[0].card.placement)
    try:
        found, bare = _logits(backbone, [one.vectors for one in prompts], placement, [one.heads for one in prompts])
    except InputError:  # no room for the longest of them
        return
    for (where, prompt), own, none in zip(part.items(), found, bare, strict=True):
        assert prompt.card.reference is not None
        moved = float((own - none).abs().max() / none.abs().max().clamp_min(1.0))
        allowed = _allowed(backbone, tolerance)
        if _worst(own, prompt.card.reference) <= allowed < moved:
            yield where


def _worst(prompted: Tensor, recorded: Reference) -> float:
    """By how much the logits differ from those recorded, relative to the largest of their kind."""
    places, T = list(recorded.tokens), prompted.shape[1]
    expected = torch.zeros_like(prompted).flatten()
    expected[places] = torch.tensor(recorded.with_prompt)
    changed = torch.zeros_like(expected)
    changed[places] = (prompted.flatten()[places] - expected[places]).abs()
    largest = expected.view(-1, T).abs().amax(1).clamp_min(1.0)
    return float((changed.view(-1, T).amax(1) / largest).max())


def _allowed(backbone: CausalBackbone | EncoderBackbone, tolerance: float) -> float:
    exact = backbone.embeddings.dtype in (torch.float32, torch.float64) and backbone.autocast is None
    return tolerance if exact else 5 * tolerance


@torch.no_grad()
def _logits(
    backbone: CausalBackbone | EncoderBackbone,
    vectors: Sequence[Tensor],
    placement: Placement,
    heads: Sequence[Mapping[str, Tensor]],
) -> tuple[Tensor, Tensor]:
    """Logits on the fixed sentence with and without each of M prompts ``[P, H]``: ``[M, 1, V]``, of an encoder
    ``[M, 5, T]``.
    """
    lengths = tuple(one.shape[-2] for one in vectors)
    alike = len(set(lengths)) == 1
    whole, known = (torch.stack(list(vectors)), None) if alike else (padded(vectors), lengths)
    if isinstance(backbone, EncoderBackbone):
        asked = backbone.ask(SpanQuestion("drug", "drug", SENTENCE), name="reference sentence", reserve=max(lengths))
        stacked = {name: torch.stack([one[name] for one in heads]) for name in heads[0]}
        prompted = PromptVectors(whole, placement, lengths=known, heads=stacked)
        bare = PromptVectors(whole[..., :0, :], placement, heads=stacked)
        return _scores(backbone, asked, prompted), _scores(backbone, asked, bare)
    pair = TextPair(context=(Piece(SENTENCE),), cue=(Piece(":"),), answer="")
    row = backbone.encode(pair, name="reference sentence", reserve=max(lengths))
    rows = [row] * len(lengths)
    found = backbone.forward(rows, PromptVectors(whole, placement, lengths=known)).logits
    none = backbone.forward([row], None).logits[:1]
    own = found[:: len(found) // len(rows)]  # of each row the first place of its answer
    return own[:, None].float().cpu(), none.expand_as(own)[:, None].float().cpu()


def _scores(backbone: EncoderBackbone, row: ReadingRow, prompts: PromptVectors) -> Tensor:
    """Of each token of a context the logits of being a first one, a last one, and both, and their biases, with each of
    M prompts: ``[M, 5, T]``.

    The first two are counted from their biases, which stand by themselves: else these would drown what a prompt does.
    """
    M = len(prompts.vectors)
    output = backbone.forward([row] * M, prompts, hidden_layers=(-1,))
    assert output.hidden is not None
    alone = torch.arange(len(output.edges), device=output.edges.device)
    heads = {name: tensor.to(output.edges.device) for name, tensor in prompts.heads.items()}
    both = match_logits(output.hidden, torch.stack([alone, alone], dim=1), output.owner, heads).view(M, 1, -1)
    edges = output.edges.view(M, -1, 2).transpose(1, 2)  # [M, 2, T]
    bias = heads["edge_bias"][:, :, None].expand_as(edges)
    return torch.cat([edges - bias, both, bias], dim=1).float().cpu()
