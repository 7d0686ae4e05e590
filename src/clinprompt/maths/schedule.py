"""Learning rate over a run: linear warm-up, then linear decay to a floor."""

from __future__ import annotations


def rate_factor(step: int, *, steps: int, warmup: int, floor: float = 0.1) -> float:
    """Return the factor on the peak learning rate at ``step`` (0-based) of ``steps``.

    It rises linearly over ``warmup`` steps (the first step already moves) and falls linearly to ``floor`` at the
    last step.
    """
    rise = min(1.0, (step + 1) / max(1, warmup))
    fall = 1.0 - (1.0 - floor) * step / max(1, steps - 1)
    return rise * fall
