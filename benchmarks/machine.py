"""The machine a benchmark ran on and the versions it ran with: figures without them say nothing."""

from __future__ import annotations

import os
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch


def machine() -> dict[str, Any]:
    """Processor, cores, memory in bytes, GPU, allocator and the load that others put on it."""
    return {
        "cpu": _cpu(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "memory": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        "gpu": torch.cuda.get_device_name(0) if torch.cuda.is_available() else None,
        "allocator": _allocator(),
        "load": [round(value, 2) for value in os.getloadavg()],
        "threads": torch.get_num_threads(),
        "OMP_WAIT_POLICY": os.environ.get("OMP_WAIT_POLICY"),
    }


def versions() -> dict[str, str | None]:
    """Versions of Python and of the packages that do the work."""
    return {"python": platform.python_version()} | {
        name: _version(name) for name in ("torch", "transformers", "peft", "clinprompt")
    }


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _cpu() -> str:
    for line in _read("/proc/cpuinfo").splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _allocator() -> str:
    """A preloaded allocator changes large buffers' cost by factors, so it is part of every result."""
    mapped = _read("/proc/self/maps")
    return next((name for name in ("tcmalloc", "jemalloc", "mimalloc") if name in mapped), "the system's")


def _read(path: str) -> str:
    file = Path(path)
    return file.read_text(encoding="utf-8", errors="replace") if file.exists() else ""
