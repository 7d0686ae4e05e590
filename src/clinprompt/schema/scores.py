"""A score never travels without its n and its interval."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Score:
    """A metric's value in percent with its 95 % interval over ``n`` examples in ``groups`` documents."""

    metric: str
    value: float
    low: float
    high: float
    n: int
    groups: int
