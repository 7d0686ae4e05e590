"""What a run was computed with: versions, machine, command."""

from __future__ import annotations

import os
import platform
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

PACKAGES = (
    "clinprompt", "torch", "transformers", "tokenizers", "safetensors", "peft", "accelerate",
    "numpy", "scipy", "pyarrow", "pydantic",
)  # fmt: skip
"""Packages whose version can change a figure."""

_VARIABLES = (
    "OMP_NUM_THREADS",
    "OMP_WAIT_POLICY",
    "MKL_NUM_THREADS",
    "CUDA_VISIBLE_DEVICES",
    "HF_HUB_OFFLINE",
)


def describe_environment(*, device: str) -> dict[str, Any]:
    """Versions, platform, cores, memory, device and command of this process, as plain values."""
    return {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "machine": platform.machine(),
        "cores": usable_cores(),
        "memory_bytes": usable_memory(),
        "device": device,
        "command": [Path(sys.argv[0]).name, *sys.argv[1:]],
        "variables": {name: os.environ[name] for name in _VARIABLES if name in os.environ},
        "packages": {name: version for name in PACKAGES if (version := installed_version(name))},
    }


def installed_version(package: str) -> str | None:
    """The version of an installed distribution, ``None`` when it is not installed; nothing is imported."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def usable_cores() -> int:
    """The processor cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def usable_memory() -> int:
    """The bytes of memory this process may use: the machine's, or its control group's when that is less."""
    limits = [os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")]
    for name in ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"):
        text = Path(name).read_text().strip() if Path(name).is_file() else ""
        if text.isdigit():
            limits.append(int(text))
    return min(limits)
