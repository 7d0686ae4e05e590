"""Chance that depends on names alone: the same seed and name give the same number on every machine."""

from __future__ import annotations

import hashlib


def draw_number(*parts: object) -> float:
    """A number in [0, 1) from a hash of the parts."""
    text = "\x1f".join(str(part) for part in parts)
    digest = hashlib.sha256(text.encode("utf-8")).digest()
    # 53 bits are what a float holds; with 64 the largest would round to 1.
    return (int.from_bytes(digest[:8], "big") >> 11) / 2**53
