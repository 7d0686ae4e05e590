"""Checkpoint of a pretraining run: one safetensors file, replaced atomically."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import nn

from clinprompt.errors import InputError

FILE = "resume.safetensors"
_MOMENTS = ("exp_avg", "exp_avg_sq", "step")


def save(
    folder: Path,
    *,
    model: nn.Module,
    optimiser: torch.optim.Optimizer,
    run: Mapping[str, Any],
    progress: Mapping[str, Any],
) -> None:
    """Write weights, Adam moments, counters and the settings of the run.

    A crash leaves the old file or the new one, never a half.
    """
    tensors = {f"weight.{name}": value.detach().clone() for name, value in model.named_parameters()}
    for name, parameter in model.named_parameters():
        if state := optimiser.state.get(parameter):
            tensors |= {f"{moment}.{name}": state[moment].detach().clone() for moment in _MOMENTS}
    folder.mkdir(parents=True, exist_ok=True)
    partial = folder / (FILE + ".partial")
    save_file(tensors, partial, metadata={"run": json.dumps(run), "progress": json.dumps(progress)})
    os.replace(partial, folder / FILE)


def load(folder: Path, *, model: nn.Module, optimiser: torch.optim.Optimizer) -> dict[str, Any] | None:
    """Put weights and moments back; the counters, or ``None`` when the folder holds no checkpoint."""
    if not (folder / FILE).exists():
        return None
    with safe_open(folder / FILE, framework="pt") as file, torch.no_grad():
        names = set(file.keys())
        for name, parameter in model.named_parameters():
            parameter.copy_(file.get_tensor(f"weight.{name}"))
            if f"step.{name}" in names:
                optimiser.state[parameter] = {key: file.get_tensor(f"{key}.{name}") for key in _MOMENTS}
        return json.loads(file.metadata()["progress"])


def refuse_another_run(folder: Path, run: Mapping[str, Any]) -> None:
    """Raise :class:`InputError` when the folder's checkpoint comes from a run of other settings."""
    if not (folder / FILE).exists():
        return
    with safe_open(folder / FILE, framework="pt") as file:
        kept = json.loads((file.metadata() or {}).get("run", "{}"))
    if others := {key: kept.get(key) for key in run if kept.get(key) != run[key]}:
        raise InputError(
            f"the run that left its checkpoint here had other settings: {', '.join(others)}",
            where=str(folder / FILE),
            allowed=", ".join(f"{key} {value}" for key, value in others.items()),
            fix="start it with the same settings, or remove the file to begin anew",
        )
