"""Times of several ways to do the same work, taken in turn within one process."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch

Step = Callable[[], Mapping[str, torch.Tensor]]
"""One unit of the work; what it returns is compared with the other ways before anything is timed."""


def interleaved(ways: Mapping[str, Step], *, rounds: int, device: str) -> dict[str, list[float]]:
    """Seconds of each way in each round, after one round that is not counted.

    Every round starts with another way, so that none of them always runs behind the same neighbour.
    """
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    names = list(ways)
    for turn in range(rounds + 1):
        for name in names[turn % len(names) :] + names[: turn % len(names)]:
            took = once(ways[name], device=device)
            if turn:
                seconds[name].append(took)
    return seconds


def once(step: Step, *, device: str) -> float:
    """Seconds of one call, with the GPU's queue empty before and after."""
    synchronise(device)
    began = time.perf_counter()
    step()
    synchronise(device)
    return time.perf_counter() - began


def synchronise(device: str) -> None:
    """Wait until the GPU has done what it was told; nothing on a CPU."""
    if device.startswith("cuda"):
        torch.cuda.synchronize()


def spread(values: Sequence[float]) -> dict[str, float]:
    """Median, smallest and largest."""
    return {"median": statistics.median(values), "min": min(values), "max": max(values)}


def ratio(slower: Sequence[float], faster: Sequence[float]) -> dict[str, Any]:
    """How many times faster the second is: ratio of the medians, and the spread of the rounds' own ratios."""
    rounds = [a / b for a, b in zip(slower, faster, strict=True)]
    return {"median": statistics.median(slower) / statistics.median(faster), "min": min(rounds), "max": max(rounds)}
