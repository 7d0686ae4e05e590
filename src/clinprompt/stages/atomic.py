"""Text, JSON and YAML files of a run, each whole or not there."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from clinprompt.data.atomic import whole_file
from clinprompt.stages.yaml_text import render


def write_text(path: Path, text: str) -> None:
    """Write a UTF-8 file so that a reader, or a power cut, sees the old or the new content only."""
    with whole_file(path) as part:
        part.write_text(text, encoding="utf-8")


def write_json(path: Path, value: Any) -> None:
    """Write a value as indented JSON, atomically."""
    write_text(path, json.dumps(plain(value), indent=2, ensure_ascii=False) + "\n")


def write_yaml(path: Path, value: Any) -> None:
    """Write a plain value as YAML, atomically."""
    write_text(path, render(value))


def plain(value: Any) -> Any:
    """The value in the types of JSON: numbers of numpy or torch become Python's, NaN and infinities words.

    >>> plain({"loss": float("nan"), "path": Path("a/b"), "n": 3})
    {'loss': 'nan', 'path': 'a/b', 'n': 3}
    """
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if value is None or isinstance(value, (bool, int, str)):
        return value
    if isinstance(value, Path):
        return value.as_posix()
    if hasattr(value, "tolist"):
        return plain(value.tolist())
    raise TypeError(f"a {type(value).__name__} cannot be written as JSON")
