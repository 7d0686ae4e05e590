"""Tiny random backbones as folders and opened, with room for rows of byte tokens."""

from __future__ import annotations

import json
from pathlib import Path

from clinprompt.backbones.causal import CausalBackbone
from clinprompt.backbones.loading import load_backbone
from clinprompt.backbones.tiny import write_tiny


def tiny_folder(folder: Path, *, context: int = 2048, **options) -> Path:
    """Write a tiny model whose context holds ``context`` tokens."""
    write_tiny(folder, **options)
    change_json(folder / "config.json", max_position_embeddings=context)
    return folder


def tiny_backbone(folder: Path, *, family: str = "llama", dtype: str = "float64", **options) -> CausalBackbone:
    """Write and open a tiny model, in float64 so that equalities are not blurred by rounding."""
    return load_backbone(str(tiny_folder(folder, family=family, **options)), dtype=dtype)


def change_json(path: Path, **fields) -> None:
    """Set fields of a JSON file; ``None`` takes a field out."""
    content = json.loads(path.read_text()) | fields
    path.write_text(json.dumps({key: value for key, value in content.items() if value is not None}))
