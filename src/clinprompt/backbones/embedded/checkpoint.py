"""Checkpoint of a pretraining run: one safetensors file, replaced atomically."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import nn

FILE = "resume.safetensors"


def save(folder: Path, *, model: nn.Module, optimiser: torch.optim.Optimizer, progress: dict[str, Any]) -> None:
    """Write weights, Adam moments and counters; a crash leaves the old file or the new one, never a half."""
    tensors = {f"weight.{name}": value.detach().clone() for name, value in model.named_parameters()}
    for name, parameter in model.named_parameters():
        for moment in ("exp_avg", "exp_avg_sq", "step"):
            if state := optimiser.state.get(parameter):
                tensors[f"{moment}.{name}"] = state[moment].detach().clone()
    folder.mkdir(parents=True, exist_ok=True)
    partial = folder / (FILE + ".partial")
    save_file(tensors, partial, metadata={"progress": json.dumps(progress)})
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
                moments = ("exp_avg", "exp_avg_sq", "step")
                optimiser.state[parameter] = {key: file.get_tensor(f"{key}.{name}") for key in moments}
        return json.loads(file.metadata()["progress"])
