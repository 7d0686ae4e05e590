"""A cluster of Ray's that is started here is reached from here only."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from types import ModuleType

import pytest

from clinprompt.stages.local_ray import imported_ray

VARIABLE = "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"


@pytest.mark.parametrize(("alone", "said"), [(True, "0"), (False, None)])
def test_ray_is_told_before_it_is_imported_whether_it_runs_alone(monkeypatch, alone, said):
    monkeypatch.setitem(sys.modules, "ray", ModuleType("ray"))
    for name in (VARIABLE, "RAY_USAGE_STATS_ENABLED"):
        monkeypatch.setenv(name, "")  # so that it is as before when the test is over
        monkeypatch.delenv(name)
    assert imported_ray(alone=alone) is sys.modules["ray"]
    assert (os.environ.get(VARIABLE), os.environ["RAY_USAGE_STATS_ENABLED"]) == (said, "0")


LISTENING = """
import json, os, re
from pathlib import Path
from clinprompt.stages.local_ray import imported_ray
ray = imported_ray(alone=True)
os.environ["MADE_BY"] = mark = f"test-{os.getpid()}"
ray.init(address="local", num_cpus=1, include_dashboard=False, log_to_driver=False, _temp_dir=os.environ["PLACE"])
assert ray.get(ray.remote(lambda: 1).remote(), timeout=300) == 1
lines = [one.split() for file in ("tcp", "tcp6") for one in Path(f"/proc/net/{file}").read_text().splitlines()[1:]]
at = {one[9]: one[1].split(":")[0] for one in lines if one[3] == "0A"}  # listening, by inode
found = []
for process in Path("/proc").glob("[0-9]*"):
    try:
        own = process.name == str(os.getpid()) or f"MADE_BY={mark}".encode() in (process / "environ").read_bytes()
        links = [os.readlink(one) for one in (process / "fd").iterdir()] if own else []
    except OSError:  # it has just ended
        continue
    found += [at[inode] for link in links if (inode := link.removeprefix("socket:[").rstrip("]")) in at]
print(json.dumps(found))
ray.shutdown()
"""
LOOPBACK = {"0100007F", "0000000000000000FFFF00000100007F", "00000000000000000000000001000000"}
"""127.0.0.1, the same as an address of IPv6, and ::1, as the kernel of a little-endian machine tells them."""


@pytest.mark.slow
@pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="the extra cluster is not installed")
def test_its_processes_listen_on_this_machine_only(tmp_path_factory):
    place = tmp_path_factory.mktemp("r")  # a short path: Ray's sockets are in it
    told = subprocess.run([sys.executable, "-c", LISTENING], env={**os.environ, "PLACE": str(place)}, check=True,
                          capture_output=True, text=True, timeout=600)  # fmt: skip
    found = json.loads(told.stdout.splitlines()[-1])
    assert len(found) >= 4 and set(found) <= LOOPBACK
