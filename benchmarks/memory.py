"""The most memory one step needs beyond what was resident before it."""

from __future__ import annotations

import contextlib
import ctypes
import gc
import resource
import sys
from pathlib import Path

import torch

from benchmarks.timing import Step, synchronise

_STATUS, _RESET = Path("/proc/self/status"), Path("/proc/self/clear_refs")


def step_peak(step: Step, *, device: str, calls: int = 2) -> dict[str, int]:
    """Bytes ``before`` the step, and how far the high-water mark of ``calls`` calls lies above them.

    On a CPU it means something only in a process that did nothing else: memory the allocator keeps from earlier
    work would hide what the step needs.
    """
    gc.collect()
    if device.startswith("cuda"):
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        for _ in range(calls):
            step()
        synchronise(device)
        return {"before": before, "step": torch.cuda.max_memory_allocated() - before}
    _give_back()
    with contextlib.suppress(OSError):
        _RESET.write_text("5")  # the high-water mark of loading the model is not the step's
    before = _field("VmRSS")
    for _ in range(calls):
        step()
    return {"before": before, "step": max(0, _field("VmHWM") - before)}


def _give_back() -> None:
    """What glibc's allocator holds from loading would be reused and so not counted."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)


def _field(name: str) -> int:
    # /proc rather than getrusage: Linux hands the parent's mark down to a new program.
    if _STATUS.exists():
        for line in _STATUS.read_text().splitlines():
            if line.startswith(name + ":"):
                return int(line.split()[1]) * 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
