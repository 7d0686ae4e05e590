"""The most memory that was in use at once since a moment: of an accelerator, or of this process."""

from __future__ import annotations

import re
from pathlib import Path

import torch


class Peak:
    """Begins to watch when it is made; :meth:`bytes` says how high it went since."""

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self._since = device.type == "cuda"
        if device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(device)
        else:
            try:
                Path("/proc/self/clear_refs").write_text("5")  # lets VmHWM begin anew
                self._since = True
            except OSError:
                self._since = False

    def bytes(self) -> int | None:
        """The peak in bytes; ``None`` where the system does not say it."""
        if not self._since:
            return None
        if self.device.type == "cuda":
            return int(torch.cuda.max_memory_allocated(self.device))
        found = re.search(r"^VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text(), flags=re.MULTILINE)
        return int(found[1]) * 1024 if found else None
