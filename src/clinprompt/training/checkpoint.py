"""A loop's whole state in one file, so that an interrupted run goes on exactly where it stood."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from clinprompt.data.atomic import whole_file
from clinprompt.errors import InputError


def save_checkpoint(path: Path, tensors: Mapping[str, Tensor], state: Mapping[str, Any]) -> None:
    """Write tensors and plain state together, atomically: a kill leaves the old checkpoint or the new one."""
    own = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()}
    with whole_file(path, sole=True) as part:
        save_file(own, part, metadata={"format": "pt", "state": json.dumps(state)})


def load_checkpoint(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]] | None:
    """Read a checkpoint; ``None`` when there is none yet."""
    if not path.is_file():
        return None
    try:
        with safe_open(path, framework="pt") as file:
            state = json.loads((file.metadata() or {})["state"])
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
    except (SafetensorError, KeyError, json.JSONDecodeError) as error:
        raise InputError(
            f"the checkpoint cannot be read ({type(error).__name__})", where=str(path), fix="start anew with --force"
        ) from error
    return tensors, state
