"""A study's gangs as Ray tasks: on an existing cluster or on this machine, with the results of a local run."""

from __future__ import annotations

import os
import socket
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

from clinprompt.errors import InputError
from clinprompt.stages.local_ray import imported_ray
from clinprompt.study.archive import Archive, Gap
from clinprompt.study.expansion import PlannedGang
from clinprompt.study.finished import finished
from clinprompt.study.gap import gap_of
from clinprompt.study.ingredients import Say
from clinprompt.study.running import Worker, run_gangs
from clinprompt.study.search import tuned

RETRIES = 3
"""How often a gang is given to another worker when its own was lost."""

_PASSED_ON = ("OMP_NUM_THREADS", "OMP_WAIT_POLICY", "HF_HUB_OFFLINE", "TOKENIZERS_PARALLELISM", "PYTHONPATH")
_workers: dict[tuple[str, str], Worker] = {}


def run_on_ray(
    gangs: Sequence[PlannedGang], *, archive: Archive, runs: Path, address: str | None, say: Say
) -> tuple[int, list[Gap]]:
    """Run what is not done, a gang per task; returns how many are done, and this run's gaps of gangs.

    Folders must be on a file system that all nodes share. A worker process loads the backbone once and takes one
    gang after the other; when it is lost, with its node or alone, its gang is resumed by another. On a cluster with
    GPUs every gang takes one. Raises :class:`InputError` where Ray is not installed or cannot be reached.
    """
    try:
        ray = imported_ray(alone=not address)
    except ImportError:
        raise InputError(
            "the executor ray needs the package ray", where="--executor", allowed="local",
            fix="pip install 'clinprompt[cluster]'",
        ) from None  # fmt: skip
    variables = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
    alone: dict[str, Any] = {"address": "local", "include_dashboard": False}
    where = {"address": address} if address else alone
    if address:
        _answers(address)
    try:
        ray.init(**where, runtime_env={"env_vars": variables}, log_to_driver=False)
    except ConnectionError:
        raise _no_cluster(address) from None
    here = Worker(runs, archive, say=say)

    def left() -> list[PlannedGang]:
        return [one for one in gangs if finished(one, archive, runs, here.basis(one.part)) is None]

    try:
        gaps = _gaps(ray, left(), archive, runs, say)
    finally:
        ray.shutdown()
    return len(gangs) - len(left()), gaps


def _answers(address: str) -> None:
    """Raise at once when nothing listens at ``host:port`` or ``[host]:port``, which Ray would wait minutes for."""
    host, _, port = address.rpartition(":")
    if not host or "/" in host or not port.isdigit():
        return
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=10).close()
    except OSError:
        raise _no_cluster(address) from None


def _no_cluster(address: str | None) -> InputError:
    return InputError("no Ray cluster answers there", where=f"--address {address}", fix="see `ray status`")


def _gaps(ray: ModuleType, left: Sequence[PlannedGang], archive: Archive, runs: Path, say: Say) -> list[Gap]:
    gpus = 1 if ray.cluster_resources().get("GPU", 0) else 0
    task = ray.remote(num_cpus=1, num_gpus=gpus, max_retries=RETRIES)(run_one)
    place = str(archive.folder.resolve()), str(runs.resolve()), os.getcwd()
    waiting = {task.remote(one, *place): one for one in left}
    found: list[Gap] = []
    while waiting:
        [ready], _ = ray.wait(list(waiting), num_returns=1)
        one = waiting.pop(ready)
        try:
            own = ray.get(ready)
        except ray.exceptions.RayError as error:
            own = [gap_of(one, *_reason(ray, error))]
            archive.add_gap(own[0])
        found += own
        title = f"{one.part.title}: {one.gang.method}, seed {one.gang.seed}"
        say("gap" if own else "done", str(own[0]) if own else f"{title}; {len(waiting)} left")
    return found


def _reason(ray: ModuleType, error: Exception) -> tuple[str, str]:
    if isinstance(error, ray.exceptions.RayTaskError):  # raised before the gang began: what a gang raises is its gap
        return "a worker cannot run gangs; is the same clinprompt on every node?", type(error.cause).__name__
    return f"the worker was lost {RETRIES + 1} times", type(error).__name__


def run_one(one: PlannedGang, folder: str, runs: str, here: str) -> list[Gap]:
    """One gang in a worker process; returns its gaps."""
    os.chdir(here)  # paths of the study file are relative to where the command was given
    worker = _workers.setdefault((folder, runs), Worker(Path(runs), Archive(Path(folder))))
    return run_gangs([one], worker, tuned=tuned)[1]
