"""A study's gangs as Ray tasks: on an existing cluster or on this machine, with the results of a local run."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from clinprompt.errors import InputError
from clinprompt.study.archive import Archive, Gap
from clinprompt.study.expansion import PlannedGang, parts_of, planned
from clinprompt.study.ingredients import Say
from clinprompt.study.running import Worker, finished, gap_of, run_gangs
from clinprompt.study.search import tuned
from clinprompt.study.study_file import Study

RETRIES = 3
"""How often a gang is given to another worker when its own was lost."""

_PASSED_ON = ("OMP_NUM_THREADS", "OMP_WAIT_POLICY", "HF_HUB_OFFLINE", "TOKENIZERS_PARALLELISM", "PYTHONPATH")
_workers: dict[tuple[str, str], Worker] = {}


def run_on_ray(
    study: Study, gangs: Sequence[PlannedGang], *, archive: Archive, runs: Path, address: str | None, say: Say
) -> tuple[int, list[Gap]]:
    """Run what is not done, a gang per task; returns how many are done, and this run's gaps of gangs.

    Folders must be on a file system that all nodes share. A worker process loads the backbone once and takes one
    gang after the other; when it is lost, with its node or alone, its gang is resumed by another. On a cluster with
    GPUs every gang takes one. Raises :class:`InputError` where Ray is not installed or cannot be reached.
    """
    try:
        import ray
    except ImportError:
        raise InputError(
            "the executor ray needs the package ray", where="--executor", allowed="local",
            fix="pip install 'clinprompt[cluster]'",
        ) from None  # fmt: skip
    variables = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
    try:
        ray.init(
            address=address, runtime_env={"env_vars": variables}, log_to_driver=False, ignore_reinit_error=True,
            include_dashboard=False if address is None else None,
        )  # fmt: skip
    except ConnectionError:
        raise InputError("no Ray cluster answers there", where=f"--address {address}", fix="see `ray status`") from None
    gpus = 1 if ray.cluster_resources().get("GPU", 0) else 0
    task = ray.remote(num_cpus=1, num_gpus=gpus, max_retries=RETRIES)(run_one)
    left = [one for one in gangs if finished(one, archive, runs) is None]
    content, place = study.model_dump_json(exclude_unset=True), (str(archive.folder.resolve()), str(runs.resolve()))
    waiting: dict[Any, PlannedGang] = {task.remote(content, one.key, *place, os.getcwd()): one for one in left}
    gaps: list[Gap] = []
    while waiting:
        [ready], _ = ray.wait(list(waiting), num_returns=1)
        one = waiting.pop(ready)
        title = f"{one.part.title}: {one.gang.method}, seed {one.gang.seed}"
        try:
            own = [Gap(**gap) for gap in ray.get(ready)]
        except ray.exceptions.RayError as error:
            lost = gap_of(one, f"the worker was lost {RETRIES + 1} times", type(error).__name__)
            archive.add_gap(lost)
            own = [lost]
        gaps += own
        say("gap" if own else "done", str(own[0]) if own else f"{title}; {len(waiting)} left")
    ray.shutdown()
    return sum(finished(one, archive, runs) is not None for one in gangs), gaps


def run_one(content: str, key: str, folder: str, runs: str, here: str) -> list[dict[str, Any]]:
    """One gang in a worker process: the study as JSON, the gang's key; returns its gaps as plain values."""
    from dataclasses import asdict

    os.chdir(here)  # paths of the study file are relative to where the command was given
    study = Study.model_validate_json(content)
    worker = _workers.setdefault((folder, runs), Worker(Path(runs), Archive(Path(folder))))
    [own] = [one for one in planned(parts_of(study), study.search) if one.key == key]
    _, gaps = run_gangs([own], worker, tuned=tuned)
    return [asdict(gap) for gap in gaps]
