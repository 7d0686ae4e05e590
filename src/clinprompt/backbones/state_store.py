"""Keys and values kept for later by content hash: in memory within a budget, and in a folder where one is given."""

from __future__ import annotations

import os
import tempfile
from collections import OrderedDict
from hashlib import sha256
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

MEMORY = 2 * 1024**3
DISK = 64 * 1024**3


class StateStore:
    """States by key, the least recently used dropped first when ``budget`` bytes are full.

    With ``folder`` they are also written there (safetensors, for the owner's eyes only: what a network makes of a note
    is as private as the note), up to ``disk_budget`` bytes, and found again by later runs.
    """

    def __init__(self, *, budget: int = MEMORY, folder: Path | None = None, disk_budget: int = DISK) -> None:
        self.budget, self.folder, self.disk_budget = budget, folder, disk_budget
        self.kept: OrderedDict[str, Tensor] = OrderedDict()
        self.bytes = 0
        if folder is not None:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)

    def get(self, key: str) -> Tensor | None:
        """The states kept under a key, or ``None``."""
        if key in self.kept:
            self.kept.move_to_end(key)
            return self.kept[key]
        if self.folder is None or not self._file(key).is_file():
            return None
        try:
            os.utime(self._file(key))
            states = load_file(self._file(key))["states"]
        except (SafetensorError, KeyError, FileNotFoundError):  # cut off by a power cut, or dropped by another run
            self._file(key).unlink(missing_ok=True)
            return None
        self._keep(key, states)
        return states

    def put(self, key: str, states: Tensor) -> None:
        """Keep states under a key."""
        self._keep(key, states)
        if self.folder is not None and not self._file(key).exists():
            handle, name = tempfile.mkstemp(dir=self.folder, suffix=".part")  # mode 0600
            os.close(handle)
            save_file({"states": states.detach().cpu().contiguous()}, name)
            self._make_room(Path(name).stat().st_size)
            os.replace(name, self._file(key))

    def _file(self, key: str) -> Path:
        assert self.folder is not None
        return self.folder / f"{key}.safetensors"

    def _keep(self, key: str, states: Tensor) -> None:
        if states.nbytes > self.budget:
            return
        self.kept[key] = states
        self.bytes += states.nbytes
        while self.bytes > self.budget:
            _, dropped = self.kept.popitem(last=False)
            self.bytes -= dropped.nbytes

    def _make_room(self, needed: int) -> None:
        assert self.folder is not None
        files = sorted(self.folder.glob("*.safetensors"), key=lambda path: path.stat().st_mtime)
        held = sum(path.stat().st_size for path in files)
        for path in files:
            if held + needed <= self.disk_budget:
                return
            held -= path.stat().st_size
            path.unlink()


def content_key(identity: str, tensor: Tensor) -> str:
    """Hash of a tensor's values, type and shape, and of what made the states besides."""
    values = tensor.detach().cpu().contiguous()
    said = f"{identity}|{values.dtype}|{tuple(values.shape)}|".encode()
    return sha256(said + values.view(torch.uint8).numpy().tobytes()).hexdigest()
