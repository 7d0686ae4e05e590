"""Ray, from which nothing goes out, and whose own cluster on this machine no other machine reaches."""

from __future__ import annotations

import os
from types import ModuleType


def imported_ray(*, alone: bool) -> ModuleType:
    """Ray; ``alone`` when the cluster will be one that is started here, which then listens on 127.0.0.1 only.

    Raises ``ImportError`` where it is not installed.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # or it tells its makers of every start
    if alone:
        # Named after the systems on which it is off: a node's address is then 127.0.0.1, and where it is, Ray's servers
        # listen nowhere else. Ray looks at it when it is imported.
        os.environ.setdefault("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", "0")
    import ray

    return ray
