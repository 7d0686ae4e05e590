"""Prompts as files: one safetensors file each, tensors and card together, so that neither is ever without the other."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import torch
from pydantic import ValidationError
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from clinprompt.errors import InputError
from clinprompt.maths.decomposition import TaskFactors
from clinprompt.prompts.card import CARD_FORMAT, BackboneIdentity, PromptCard

_HEAD = "head/"


@dataclass(frozen=True, slots=True)
class SoftPrompt:
    """Finished vectors ``[P, H]`` (float32; ``[L, P, H]`` for one set per layer) and their card.

    ``heads`` are the span scorers of an encoder's prompt, by name and without member dimension.
    """

    vectors: Tensor
    card: PromptCard
    heads: Mapping[str, Tensor] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Metaprompt:
    """The shared vectors ``[P, H]``, the source tasks' factor pairs by task name, the card; an encoder's scorers."""

    vectors: Tensor
    factors: dict[str, TaskFactors]
    card: PromptCard
    heads: Mapping[str, Tensor] = field(default_factory=dict)


def save_prompt(path: Path, prompt: SoftPrompt) -> None:
    """Write a prompt file; a reader sees the old file or the new one, never half of one."""
    _save(path, {"vectors": prompt.vectors.contiguous()} | _named(prompt.heads), prompt.card)


def load_prompt(path: Path, *, backbone: BackboneIdentity | None = None) -> SoftPrompt:
    """Read a prompt file; with ``backbone`` given, refuse a prompt that was trained for another one."""
    tensors, card = _load(path, expected={"vectors"})
    if backbone is not None:
        check_backbone(card, backbone, where=str(path))
    return SoftPrompt(tensors["vectors"], card, _heads(tensors))


def save_metaprompt(path: Path, metaprompt: Metaprompt) -> None:
    """Write a metaprompt with all its factor pairs into one file."""
    tensors = {"vectors": metaprompt.vectors.contiguous()} | _named(metaprompt.heads)
    for task, pair in metaprompt.factors.items():
        tensors[f"rows/{task}"] = pair.rows.contiguous()
        tensors[f"cols/{task}"] = pair.cols.contiguous()
    _save(path, tensors, metaprompt.card)


def load_metaprompt(path: Path, *, backbone: BackboneIdentity | None = None) -> Metaprompt:
    """Read a metaprompt file, checked like :func:`load_prompt`."""
    tensors, card = _load(path, expected={"vectors"})
    if backbone is not None:
        check_backbone(card, backbone, where=str(path))
    missing = [name for name in card.tasks if not {f"rows/{name}", f"cols/{name}"} <= set(tensors)]
    if missing:
        raise InputError(f"the file lacks the factors of the source task {missing[0]}", where=str(path))
    factors = {name: TaskFactors(tensors[f"rows/{name}"], tensors[f"cols/{name}"]) for name in card.tasks}
    return Metaprompt(tensors["vectors"], factors, card, _heads(tensors))


def read_card(path: Path) -> PromptCard:
    """Read only the card of a prompt or metaprompt file."""
    return _load(path, expected=set(), only_card=True)[1]


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


def _named(heads: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {_HEAD + name: tensor.contiguous() for name, tensor in heads.items()}


def _heads(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name.removeprefix(_HEAD): tensor for name, tensor in tensors.items() if name.startswith(_HEAD)}


def _save(path: Path, tensors: dict[str, Tensor], card: PromptCard) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        floats = {name: tensor.detach().to("cpu", torch.float32) for name, tensor in tensors.items()}
        # One entry: the order of several is drawn by chance, and equal prompts would be unequal files.
        save_file(floats, part, metadata={"card": card.model_dump_json()})
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)


def _load(path: Path, *, expected: set[str], only_card: bool = False) -> tuple[dict[str, Tensor], PromptCard]:
    if not path.is_file():
        raise InputError("there is no prompt file", where=str(path), fix="give the path of a *.safetensors prompt")
    try:
        with safe_open(path, framework="pt") as file:
            card = PromptCard.model_validate_json((file.metadata() or {}).get("card", ""))
            tensors = {} if only_card else {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
    except (SafetensorError, ValidationError, OSError) as error:
        raise InputError(
            f"this is not a clinprompt prompt file ({type(error).__name__})",
            where=str(path),
            fix="prompts are written by `clinprompt adapt` and `clinprompt distill`",
        ) from error
    if card.format != CARD_FORMAT:
        raise InputError(
            f"the prompt's card has format {card.format}", where=str(path), allowed=f"format {CARD_FORMAT}"
        )
    missing = expected - set(tensors)
    if missing:
        raise InputError(f"the prompt file lacks the tensor {sorted(missing)[0]!r}", where=str(path))
    return tensors, card
