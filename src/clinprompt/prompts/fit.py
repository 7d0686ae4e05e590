"""Whether a prompt may be used where somebody wants to use it: backbone, tokenizer, template, placement, tensors."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from clinprompt.errors import InputError
from clinprompt.prompts.card import BackboneIdentity, PromptCard


def check_backbone(card: PromptCard, backbone: BackboneIdentity, *, where: str) -> None:
    """Raise :class:`InputError` unless the prompt was trained for exactly this backbone and tokenizer."""
    if card.backbone.fingerprint != backbone.fingerprint:
        raise InputError(
            f"the prompt was trained for backbone {card.backbone.name} ({card.backbone.fingerprint}), this one is "
            f"{backbone.name} ({backbone.fingerprint}); prompts do not carry over between models",
            where=where,
            fix="use the bank made for this model or train a prompt for it with `clinprompt adapt`",
        )
    if card.backbone.tokenizer != backbone.tokenizer:
        raise InputError(
            f"the prompt was trained with tokenizer {card.backbone.tokenizer}, the folder's is {backbone.tokenizer}",
            where=where,
            fix="restore the tokenizer files the backbone came with",
        )


def check_template(card: PromptCard, name: str, template_hash: str, *, where: str) -> None:
    """Raise :class:`InputError` unless the prompt was trained with exactly this template."""
    if card.template_hash != template_hash:
        raise InputError(
            f"the prompt was trained with another template ({card.template}, {card.template_hash})",
            where=where,
            allowed=f"{name}, {template_hash}",
            fix=f"give `--set backbone.template={card.template}`; use prompts of one template at a time",
        )


def check_replaces(card: PromptCard, other: PromptCard, *, where: str) -> None:
    """Raise :class:`InputError` unless a prompt can stand in for ``other``: all that it is used with must be equal."""
    both = {
        "task": tuple(one.task.name if one.task else "none (a metaprompt)" for one in (card, other)),
        "backbone": (_backbone(card), _backbone(other)),
        "tokenizer": (card.backbone.tokenizer, other.backbone.tokenizer),
        "template": (f"{card.template} ({card.template_hash})", f"{other.template} ({other.template_hash})"),
        "placement": (card.placement, other.placement),
    }
    differing = [f"its {what} is {mine}, theirs is {theirs}" for what, (mine, theirs) in both.items() if mine != theirs]
    if differing:
        raise InputError(
            f"the prompt cannot stand in for the other versions of {other.name}: {'; '.join(differing)}",
            where=where,
            fix="add it under a name of its own (--name), or remove the name's versions first",
        )


def check_tensors(card: PromptCard, tensors: Mapping[str, Tensor], *, where: str) -> None:
    """Raise :class:`InputError` unless the vectors are as the card says and every number is finite."""
    found, expected = tuple(tensors["vectors"].shape), (card.length, card.backbone.hidden)
    if len(found) not in (2, 3) or found[-2:] != expected:
        raise InputError(f"the vectors have shape {list(found)}, the card says {list(expected)}", where=where)
    broken = sorted(name for name, tensor in tensors.items() if not bool(torch.isfinite(tensor).all()))
    if broken:
        raise InputError(
            f"the tensor {broken[0]!r} has numbers that are not finite", where=where, fix="train the prompt again"
        )


def _backbone(card: PromptCard) -> str:
    return f"{card.backbone.name} ({card.backbone.fingerprint})"
