"""Speed and memory of the engine against its peers, on the same work in one run: see README.md in this folder."""

from __future__ import annotations

import os

# Both are read when torch and transformers are imported, which happens after this package is.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # spinning threads beside a busy neighbour cost factors of seven
os.environ.setdefault("HF_HUB_OFFLINE", "1")
