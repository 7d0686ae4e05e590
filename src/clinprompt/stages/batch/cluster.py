"""Shards mapped over a Ray cluster with Ray Data; each actor has the backbone and reads the notes itself."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from clinprompt.errors import InputError, raise_all
from clinprompt.stages.batch.executors import Parts
from clinprompt.stages.batch.job import Job
from clinprompt.stages.local_ray import imported_ray


def on_cluster(job: Job, numbers: Sequence[int], *, actors: int) -> Parts:
    """The parts from so many actors, on the cluster that ``RAY_ADDRESS`` names or on one of this machine.

    Notes, prompts and backbone must have the same paths on every machine. Raises :class:`InputError` without the extra
    ``cluster``, and for what a worker refuses.
    """
    try:
        imported_ray(alone=not os.environ.get("RAY_ADDRESS"))
        import ray.data
    except ModuleNotFoundError:
        raise InputError(
            "the executor ray needs Ray Data, which is not installed",
            where="batch.executor",
            fix="install the extra `cluster` (`pip install 'clinprompt[cluster]'`), or take --processes",
        ) from None
    if not numbers:
        return
    with _cluster(ray, actors):
        ray.data.DataContext.get_current().enable_progress_bars = False
        # A block per shard: each part comes as soon as it is ready.
        shards = ray.data.from_items([{"shard": number} for number in numbers], override_num_blocks=len(numbers))
        made = shards.map_batches(
            _Actor,
            batch_size=1,
            compute=ray.data.ActorPoolStrategy(size=min(actors, len(numbers))),
            fn_constructor_args=(job,),
            num_cpus=1,
        )
        for batch in made.iter_batches(batch_size=1, prefetch_batches=0):
            faults = json.loads(batch["faults"][0])
            raise_all([InputError(what, where=where, allowed=allowed, fix=fix) for what, where, allowed, fix in faults])
            yield int(batch["shard"][0]), bytes(batch["part"][0])


@contextmanager
def _cluster(ray: Any, actors: int) -> Iterator[None]:
    """A cluster for the length of the block: one that is there already is left as it is."""
    if ray.is_initialized():
        yield
        return
    if os.environ.get("RAY_ADDRESS"):
        ray.init(log_to_driver=False)
    else:
        # One core for Ray's own reading; never a cluster of somebody else that happens to run here.
        ray.init(address="local", num_cpus=actors + 1, include_dashboard=False, log_to_driver=False)
    try:
        yield
    finally:
        ray.shutdown()


class _Actor:
    """One worker of the cluster."""

    def __init__(self, job: Job) -> None:
        self.job, self.worker = job, None

    def __call__(self, batch: dict[str, Any]) -> dict[str, list[Any]]:
        """The part of one shard, or the faults for which it was refused."""
        number, part, faults = int(batch["shard"][0]), b"", []
        try:
            self.worker = self.worker or self.job.worker()
            part = self.worker.part(number)
        except InputError as fault:
            faults = [(one.what, one.where, one.allowed, one.fix) for one in getattr(fault, "faults", [fault])]
        return {"shard": [number], "part": [part], "faults": [json.dumps(faults)]}
