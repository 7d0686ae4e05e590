"""One seed per run, split by purpose, so that changing one use of chance leaves the others alone."""

from __future__ import annotations

import hashlib


def derive(seed: int, *purpose: str | int) -> int:
    """Return a 31-bit seed for a named purpose.

    >>> derive(1, "sampler", "meds") == derive(1, "sampler", "meds") != derive(1, "start", "meds")
    True
    """
    text = "/".join(map(str, (seed, *purpose)))
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=4).digest()) & 0x7FFFFFFF
