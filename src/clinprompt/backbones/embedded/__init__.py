"""A language model of 1.5 million parameters that comes with the package, and how it is made."""

from __future__ import annotations

from pathlib import Path

MODEL_FOLDER = Path(__file__).parent / "model"
"""The Hugging Face folder of the embedded model."""
