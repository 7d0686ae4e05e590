"""What an evaluate run wrote: the scores of each cell in one file, and the names of the files of a cell."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

FILE = "scores.json"
COUNTS = "counts.json"
GOLD_HEADS = "gold-heads"
"""Folder within a cell's, where the same files stand of its relations given the annotated heads."""
END_TO_END, GIVEN_HEADS = "end to end", "given the heads"
"""Whether the mentions that relations are asked about were found, or are the annotated ones."""


def read_scores(run: Path) -> list[dict[str, Any]]:
    """The cells of an evaluate run with their scores."""
    return list(_scores(run)["cells"])


def unconstrained(run: Path) -> str:
    """Why the answers of an evaluate run could not be constrained although they should; empty where they were."""
    return str(_scores(run)["unconstrained"])


def _scores(run: Path) -> dict[str, Any]:
    return json.loads((run / "outputs" / FILE).read_text(encoding="utf-8"))
