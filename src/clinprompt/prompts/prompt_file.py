"""Prompts as files: one safetensors file each, tensors and card together, so that neither is ever without the other."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save_file
from torch import Tensor

from clinprompt.data.atomic import for_all, whole_file
from clinprompt.errors import InputError
from clinprompt.maths.decomposition import TaskFactors
from clinprompt.prompts.card import CARD_FORMAT, BackboneIdentity, PromptCard
from clinprompt.prompts.fit import check_backbone

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
    """The shared vectors ``[P, H]``, the source tasks' factor pairs by task name, the card; an encoder's scorers.

    One that was learned without decomposition has no factors.
    """

    vectors: Tensor
    factors: dict[str, TaskFactors]
    card: PromptCard
    heads: Mapping[str, Tensor] = field(default_factory=dict)


def save_prompt(path: Path, prompt: SoftPrompt) -> None:
    """Write a prompt file as :func:`save_tensors` does."""
    save_tensors(path, {"vectors": prompt.vectors} | _named(prompt.heads), prompt.card)


def load_prompt(path: Path, *, backbone: BackboneIdentity | None = None) -> SoftPrompt:
    """Read a prompt file; with ``backbone`` given, refuse a prompt that was trained for another one."""
    tensors, card = _load(path)
    if backbone is not None:
        check_backbone(card, backbone, where=str(path))
    return soft_prompt(tensors, card)


def save_metaprompt(path: Path, metaprompt: Metaprompt) -> None:
    """Write a metaprompt with all its factor pairs into one file."""
    tensors = {"vectors": metaprompt.vectors} | _named(metaprompt.heads)
    for task, pair in metaprompt.factors.items():
        tensors[f"rows/{task}"] = pair.rows
        tensors[f"cols/{task}"] = pair.cols
    save_tensors(path, tensors, metaprompt.card)


def load_metaprompt(path: Path, *, backbone: BackboneIdentity | None = None) -> Metaprompt:
    """Read a metaprompt file, checked like :func:`load_prompt`."""
    tensors, card = _load(path)
    if backbone is not None:
        check_backbone(card, backbone, where=str(path))
    decomposed = () if card.rank is None else card.tasks
    missing = [name for name in decomposed if not {f"rows/{name}", f"cols/{name}"} <= set(tensors)]
    if missing:
        raise InputError(f"the file lacks the factors of the source task {missing[0]}", where=str(path))
    factors = {name: TaskFactors(tensors[f"rows/{name}"], tensors[f"cols/{name}"]) for name in decomposed}
    return Metaprompt(tensors["vectors"], factors, card, _heads(tensors))


def read_card(path: Path) -> PromptCard:
    """The card of a prompt or metaprompt file."""
    return _card(_header(read_content(path)), str(path))


def read_content(path: Path) -> bytes:
    """The bytes of a prompt file, read at once: what is checked is what is used."""
    if not path.is_file():
        raise InputError("there is no prompt file", where=str(path), fix="give the path of a *.safetensors prompt")
    try:
        return path.read_bytes()
    except OSError as error:
        raise InputError(f"the prompt file cannot be read: {error.strerror}", where=str(path)) from None


def parsed(content: bytes, *, where: str) -> tuple[dict[str, Tensor], PromptCard]:
    """The tensors and the card in the bytes of a prompt or metaprompt file."""
    card = _card(_header(content), where)
    try:
        tensors = load(content)
    except SafetensorError as error:
        raise _foreign(error, where) from None
    if "vectors" not in tensors:
        raise InputError("the prompt file lacks the tensor 'vectors'", where=where)
    return tensors, card


def soft_prompt(tensors: Mapping[str, Tensor], card: PromptCard) -> SoftPrompt:
    """The prompt that tensors and card make."""
    return SoftPrompt(tensors["vectors"], card, _heads(tensors))


def save_tensors(path: Path, tensors: Mapping[str, Tensor], card: PromptCard) -> None:
    """Write tensors and their card; a reader sees the old file or the new one, never half of one."""
    floats = {name: tensor.detach().to("cpu", torch.float32).contiguous() for name, tensor in tensors.items()}
    with whole_file(path) as part:
        # One entry: the order of several is drawn by chance, and equal prompts would be unequal files.
        save_file(floats, part, metadata={"card": card.model_dump_json()})
        for_all(part)


def _header(content: bytes) -> bytes:
    """The JSON between the length, eight bytes little-endian, and the tensors; anything at all of a file of another
    kind.
    """
    return content[8 : 8 + int.from_bytes(content[:8], "little")]


def _named(heads: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {_HEAD + name: tensor for name, tensor in heads.items()}


def _heads(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    # Sorted: the order in a file that was read differs by chance, and what resumes counts on the same one.
    return {name.removeprefix(_HEAD): tensors[name] for name in sorted(tensors) if name.startswith(_HEAD)}


def _load(path: Path) -> tuple[dict[str, Tensor], PromptCard]:
    return parsed(read_content(path), where=str(path))


def _card(header: bytes, where: str) -> PromptCard:
    """The card in the header of a safetensors file, which is JSON."""
    try:
        card = PromptCard.model_validate_json(json.loads(header)["__metadata__"]["card"])
    except (ValueError, KeyError, TypeError) as error:  # a validation error is a ValueError
        raise _foreign(error, where) from None
    if card.format != CARD_FORMAT:
        raise InputError(f"the prompt's card has format {card.format}", where=where, allowed=f"format {CARD_FORMAT}")
    return card


def _foreign(error: Exception, where: str) -> InputError:
    return InputError(
        f"this is not a clinprompt prompt file ({type(error).__name__})",
        where=where,
        fix="prompts are written by `clinprompt adapt` and `clinprompt distill`; the examples of the method in-context "
        "are text and no prompt: score the run that chose them with `clinprompt evaluate`",
    )
