"""Folders of Hugging Face peft: a prompt as PROMPT_TUNING, a metaprompt with its factors as MULTITASK_PROMPT_TUNING."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from pydantic import ValidationError
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from clinprompt.data.atomic import for_all
from clinprompt.errors import InputError
from clinprompt.maths.decomposition import TaskFactors, widen
from clinprompt.prompts.card import PromptCard
from clinprompt.prompts.exports.origin import Origin, PlacedPrompt
from clinprompt.prompts.prompt_file import Metaprompt

CONFIG, WEIGHTS, CARD = "adapter_config.json", "adapter_model.safetensors", "clinprompt-card.json"
SINGLE, MULTITASK = "PROMPT_TUNING", "MULTITASK_PROMPT_TUNING"

_VECTORS, _ROWS, _COLS = "prompt_embeddings", "prefix_task_cols", "prefix_task_rows"
"""Names of peft's tensors. Its "cols" ``[K, P, R]`` are what the papers and we call rows u, its "rows" our cols v."""


@dataclass(frozen=True, slots=True)
class PeftSave:
    """What a folder of peft holds: vectors ``[P, H]``, factor pairs in the order of ``task_ids``, our card if any."""

    vectors: Tensor
    factors: tuple[TaskFactors, ...]
    config: dict[str, Any]
    card: PromptCard | None


def export_peft(prompts: Sequence[PlacedPrompt | Metaprompt], origin: Origin, folder: Path) -> dict[str, str]:
    """Write one folder of peft per prompt below ``folder``; returns each one's kind by the folder's name.

    ``PeftModel.from_pretrained(model, folder / name)`` loads them. Raises :class:`InputError` for prompts that do not
    stand before everything, which is the only place that peft knows, and for metaprompts that are not multiplied.
    """
    kinds = {}
    for given in prompts:
        card = given.card
        if isinstance(given, Metaprompt):
            _check_factors(given)
        if card.placement != "prefix":
            raise InputError(
                f"peft puts a prompt before everything and has no way to say where else; this one has the placement "
                f"{card.placement}, and what peft would answer with it would be wrong",
                where=f"{card.name}@{card.version}",
                allowed="placement prefix",
                fix="export it with --to prompt-tokens, which keeps every placement, or train it with "
                "--set prompt.placement=prefix",
            )
        target = folder / card.name
        if target.exists():
            raise InputError(
                f"two of the prompts are called {card.name}, and each is a folder of its name",
                fix="export one version of a prompt at a time",
            )
        target.mkdir()
        kinds[card.name] = _write_multitask(target, given, origin) if isinstance(given, Metaprompt) else _write_single(
            target, given.vectors, origin
        )  # fmt: skip
        (target / CARD).write_text(card.model_dump_json(indent=2) + "\n", encoding="utf-8")
    return kinds


def _check_factors(metaprompt: Metaprompt) -> None:
    if metaprompt.card.shift != "product" or not metaprompt.factors:
        how = "are added to it" if metaprompt.factors else "are missing"
        raise InputError(
            f"peft multiplies a metaprompt with factors, and this one's {how}",
            where=metaprompt.card.name,
            fix="export the prompts that are adapted from it",
        )


def _write_single(folder: Path, vectors: Tensor, origin: Origin) -> str:
    from peft import PromptTuningConfig

    PromptTuningConfig(**_shape(vectors, origin)).save_pretrained(folder)
    _save(folder, {_VECTORS: vectors})
    return SINGLE


def _write_multitask(folder: Path, metaprompt: Metaprompt, origin: Origin) -> str:
    """Factors in the order of the card's tasks, which is that of peft's ``task_ids``, all with the largest rank.

    ``prompt_tuning_init`` is RANDOM: with any other, peft wants the file that the factors were started from.
    """
    from peft import MultitaskPromptTuningConfig

    rank = max(pair.rank for pair in metaprompt.factors.values())
    pairs = [widen(metaprompt.factors[name], rank=rank, seed=0) for name in metaprompt.card.tasks]
    MultitaskPromptTuningConfig(
        **_shape(metaprompt.vectors, origin), prompt_tuning_init="RANDOM", num_ranks=rank, num_tasks=len(pairs)
    ).save_pretrained(folder)
    stacked = {_ROWS: torch.stack([pair.rows for pair in pairs]), _COLS: torch.stack([pair.cols for pair in pairs])}
    _save(folder, {_VECTORS: metaprompt.vectors} | stacked)
    return MULTITASK


def _shape(vectors: Tensor, origin: Origin) -> dict[str, Any]:
    return {
        "task_type": "CAUSAL_LM",
        "base_model_name_or_path": origin.name,
        "inference_mode": True,
        "num_virtual_tokens": vectors.shape[0],
        "token_dim": vectors.shape[1],
        "num_transformer_submodules": 1,
        "num_attention_heads": origin.heads,
        "num_layers": origin.layers,
    }


def _save(folder: Path, tensors: dict[str, Tensor]) -> None:
    floats = {name: tensor.detach().to("cpu", torch.float32).contiguous() for name, tensor in tensors.items()}
    save_file(floats, folder / WEIGHTS, metadata={"format": "pt"})
    for_all(folder / WEIGHTS)


def read_peft(folder: Path) -> PeftSave:
    """Read what peft, or :func:`export_peft`, saved.

    Raises :class:`InputError` for other kinds of adapters, for models with an encoder, and for pickled weights.
    """
    config = _config(folder)
    kind = str(config.get("peft_type", ""))
    if kind not in (SINGLE, MULTITASK):
        raise InputError(f"this is an adapter of the kind {kind or 'unknown'}", where=str(folder / CONFIG),
                         allowed=f"{SINGLE}, {MULTITASK}", fix="only prompts can be imported")  # fmt: skip
    if config.get("task_type") not in (None, "CAUSAL_LM") or config.get("num_transformer_submodules") not in (None, 1):
        raise InputError(
            f"this prompt is for another kind of model ({config.get('task_type')})",
            where=str(folder / CONFIG),
            allowed="CAUSAL_LM",
        )
    tensors = _tensors(folder)
    expected = {_VECTORS} if kind == SINGLE else {_VECTORS, _ROWS, _COLS}
    if set(tensors) != expected:
        raise InputError(
            f"the file holds the tensors {', '.join(sorted(tensors))}",
            where=str(folder / WEIGHTS),
            allowed=", ".join(sorted(expected)),
            fix="adapters that save more than a prompt cannot be imported",
        )
    shapes = {name: tuple(tensor.shape) for name, tensor in tensors.items()}
    if len(shapes[_VECTORS]) != 2:
        raise InputError(
            f"the vectors have the shape {shapes[_VECTORS]}", where=str(folder / WEIGHTS), allowed="two dimensions"
        )
    factors: tuple[TaskFactors, ...] = ()
    if kind == MULTITASK:
        (P, H), K, R = shapes[_VECTORS], config.get("num_tasks"), config.get("num_ranks")
        if shapes[_ROWS] != (K, P, R) or shapes[_COLS] != (K, R, H):
            raise InputError(f"the factors have the shapes {shapes[_ROWS]} and {shapes[_COLS]}",
                             where=str(folder / WEIGHTS), allowed=f"{(K, P, R)} and {(K, R, H)}")  # fmt: skip
        factors = tuple(TaskFactors(u, v) for u, v in zip(tensors[_ROWS], tensors[_COLS], strict=True))
    return PeftSave(tensors[_VECTORS], factors, config, _card(folder))


def _config(folder: Path) -> dict[str, Any]:
    try:
        config = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
        if isinstance(config, dict):
            return config
    except (OSError, ValueError):
        pass
    raise InputError(f"there is no {CONFIG} that can be read", where=str(folder), fix="give a folder that peft saved")


def _tensors(folder: Path) -> dict[str, Tensor]:
    path = folder / WEIGHTS
    if not path.is_file():
        raise InputError(
            f"there is no {WEIGHTS}",
            where=str(folder),
            fix="save the adapter again with a peft that writes safetensors; pickled weights are never opened",
        )
    try:
        return {name: tensor.to(torch.float32) for name, tensor in load_file(path).items()}
    except (SafetensorError, OSError) as error:
        raise InputError(f"the weights cannot be read ({type(error).__name__})", where=str(path)) from error


def _card(folder: Path) -> PromptCard | None:
    path = folder / CARD
    if not path.is_file():
        return None
    try:
        return PromptCard.model_validate_json(path.read_bytes())
    except (ValidationError, OSError) as error:
        raise InputError("the card beside the adapter cannot be read", where=str(path), fix="remove it, and say with "
                         "--task which task the prompt is for") from error  # fmt: skip
