"""The processes of one pretraining run: the calling one leads, the others live and die with it."""

from __future__ import annotations

import os
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from multiprocessing import connection, get_context, parent_process
from multiprocessing.process import BaseProcess
from pathlib import Path

import torch
import torch.distributed as dist
from torch import Tensor

from clinprompt.errors import InputError

# One that has died is noticed by its closed connection, long before.
_PATIENCE = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Team:
    """This process's number (0 leads) and how many there are."""

    rank: int = 0
    size: int = 1

    def mean(self, numbers: Tensor) -> None:
        """Replace the numbers by their mean over all processes, the same bits on each; all must call this."""
        if self.size > 1:
            dist.all_reduce(numbers)
            numbers /= self.size

    def least(self, number: int) -> int:
        """The least of all processes' numbers; all must call this."""
        if self.size == 1:
            return number
        least = torch.tensor(number)
        dist.all_reduce(least, dist.ReduceOp.MIN)
        return int(least)


ALONE = Team()
"""The one process of a run that shares its work with no other."""


def cores() -> int:
    """How many processor cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@contextmanager
def gathered(size: int, work: Callable[[Team], object]) -> Iterator[Team]:
    """Run ``work`` in ``size - 1`` new processes of one thread each while the block does the same as their leader.

    They speak over this machine's loopback, and are ended with the block, however it ends, and with the calling
    process, however that ends. ``work`` must be picklable. Raises :class:`InputError` when one of them dies, and where
    processes are already joined (by torchrun, say).
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        if size == 1:
            yield ALONE
        else:
            yield from _gathered(size, work)
    finally:
        torch.set_num_threads(threads)


def _gathered(size: int, work: Callable[[Team], object]) -> Iterator[Team]:
    if dist.is_initialized():
        raise InputError("pretraining starts its processes itself", where="processes", fix="start it without torchrun")
    with tempfile.TemporaryDirectory() as folder:
        others = [
            get_context("spawn").Process(target=_enter, args=(Team(rank, size), folder, work), daemon=True)
            for rank in range(1, size)
        ]
        try:
            for process in others:
                process.start()
            _await(others, Path(folder))
            _join(Team(0, size), folder)
            yield Team(0, size)
        except RuntimeError as error:
            # A process closes its connections a moment before it counts as ended.
            gone = connection.wait([process.sentinel for process in others], timeout=2)
            for process in others:
                if process.sentinel in gone:
                    process.join()
            _refuse_the_dead(others, cause=error)
            raise
        finally:
            for process in others:
                if process.pid is not None:
                    process.terminate()
                    process.join()
            if dist.is_initialized():
                dist.destroy_process_group()


def _enter(team: Team, folder: str, work: Callable[[Team], object]) -> None:
    """All that a process does which is not the leader."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the leader hears it and ends this one
    threading.Thread(target=_follow, daemon=True).start()
    torch.set_num_threads(1)
    (Path(folder) / f"ready {team.rank}").touch()
    _join(team, folder)
    work(team)


def _follow() -> None:
    """End this process with the one that started it, even in the middle of a wait."""
    if leader := parent_process():
        leader.join()
    os._exit(1)


def _await(others: Sequence[BaseProcess], folder: Path) -> None:
    """Wait until all are there: joining would wait long for one that has died at its start."""
    while not all((folder / f"ready {rank}").exists() for rank in range(1, len(others) + 1)):
        _refuse_the_dead(others)
        time.sleep(0.02)


def _join(team: Team, folder: str) -> None:
    if sys.platform == "linux":
        os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")  # nothing need be seen from outside
    store = dist.FileStore(str(Path(folder) / "store"), team.size)
    dist.init_process_group("gloo", store=store, rank=team.rank, world_size=team.size, timeout=_PATIENCE)


def _refuse_the_dead(others: Sequence[BaseProcess], *, cause: Exception | None = None) -> None:
    for rank, process in enumerate(others, start=1):
        if process.exitcode is not None:
            raise InputError(
                f"process {rank} of {len(others) + 1} has ended (exit code {process.exitcode}), so all of them stop",
                where="pretraining",
                fix="run the same command again: it goes on from the last checkpoint",
            ) from cause
