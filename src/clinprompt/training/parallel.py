"""The processes of one run: which one this is, how rows are shared out, sums over all, and the death of one."""

from __future__ import annotations

import functools
import os
import select
import signal
import sys
import threading
import time
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from types import FrameType
from typing import TYPE_CHECKING, Any, TypeVar

from clinprompt.errors import InputError

if TYPE_CHECKING:
    from torch import Tensor

Item = TypeVar("Item")

# A process may wait for another one's whole stage; one that has died is noticed by its closed connection.
_PATIENCE = timedelta(days=7)
_LONGEST_PAUSE = 0.02


@dataclass(frozen=True)
class World:
    """This process's number, how many there are, and handles that tell when one of this machine has ended."""

    rank: int = 0
    size: int = 1
    watched: Mapping[int, int] = field(default_factory=dict)

    @property
    def leads(self) -> bool:
        """Whether this is the one process that writes files and speaks."""
        return self.rank == 0

    def share(self, items: Sequence[Item], *, weight: Callable[[Item], int]) -> list[Item]:
        """This process's part of items that all processes hold: the heaviest first, each to the least loaded."""
        if self.size == 1:
            return list(items)
        loads, mine = [0] * self.size, []
        for place in sorted(range(len(items)), key=lambda i: -weight(items[i])):
            rank = loads.index(min(loads))
            loads[rank] += weight(items[place])
            if rank == self.rank:
                mine.append(place)
        return [items[place] for place in sorted(mine)]

    def level(self, items: Sequence[Item], *, idle: Item) -> list[Item]:
        """The items, with as many idle ones behind them as it takes to have equally many on every process."""
        return [*items, *[idle] * (max(self.gather(len(items))) - len(items))]

    def gather(self, number: int) -> list[int]:
        """Every process's number, in the order of the processes; all must call this."""
        if self.size == 1:
            return [number]
        import torch

        numbers = torch.zeros(self.size, dtype=torch.long)
        numbers[self.rank] = number
        self.sum([numbers])
        return numbers.tolist()

    def sum(self, tensors: Sequence[Tensor]) -> None:
        """Replace each tensor by its sum over all processes; all must call this.

        Raises :class:`InputError` when another process has ended.
        """
        if self.size == 1:
            return
        import torch.distributed as dist

        try:
            for work in [dist.all_reduce(tensor, async_op=True) for tensor in tensors]:
                pause = 1e-4
                while not work.is_completed():  # `wait` alone would not let Python hear a signal
                    time.sleep(pause)
                    pause = min(1.2 * pause, _LONGEST_PAUSE)
                work.wait()
        except RuntimeError as error:
            raise self.stopped() from error

    @contextmanager
    def guarded(self) -> Iterator[None]:
        """Tell of a process that has ended when a sharded backbone fails to reach it in the middle of a layer.

        Raises :class:`InputError` in place of the library's error; other errors pass.
        """
        try:
            yield
        except RuntimeError as error:
            if self.size > 1 and ("gloo" in str(error).lower() or "nccl" in str(error).lower() or self._gone()):
                raise self.stopped() from error
            raise

    def _gone(self) -> list[str]:
        """Numbers of this machine's other processes that have ended."""
        poll = select.poll()
        for handle in self.watched.values():
            poll.register(handle, select.POLLIN)
        # A process closes its connections a moment before it counts as ended.
        ended = {handle for handle, _ in poll.poll(1000)} if self.watched else set()
        return [str(rank) for rank, handle in self.watched.items() if handle in ended]

    def stopped(self) -> InputError:
        """Why this run cannot go on: which process has ended, as far as this one can tell, and what to do."""
        gone = self._gone()
        which = f"process {', '.join(gone)}" if gone else "a process"
        return InputError(
            f"{which} of the {self.size} of this run has ended or was stopped, so all of them stop",
            where=f"noticed by process {self.rank}",
            fix="run the same command again: it goes on from the last checkpoint; if memory was short, lower "
            "`tokens_per_forward`",
        )


@functools.cache
def world() -> World:
    """The processes that torchrun, or anything that sets its variables, has started; otherwise this one alone.

    The first call joins them and binds this process to its GPU, if there are GPUs.
    """
    if not {"RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT"} <= set(os.environ):
        return World()
    import torch
    import torch.distributed as dist

    gpus, place = torch.cuda.device_count(), int(os.environ.get("LOCAL_RANK", "0"))
    if place < gpus:
        torch.cuda.set_device(place)
    if sys.platform == "linux" and os.environ.get("LOCAL_WORLD_SIZE") == os.environ["WORLD_SIZE"]:
        os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")  # one machine: nothing need be seen from outside
    dist.init_process_group("cpu:gloo,cuda:nccl" if place < gpus else "gloo", timeout=_PATIENCE)
    alone = World(dist.get_rank(), dist.get_world_size())
    found = World(alone.rank, alone.size, _watched(alone))
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, functools.partial(_stop, found))
    return found


@contextmanager
def even_runs(backbone: Any, all_processes: World, *, idle: Callable[[], object]) -> Iterator[None]:
    """However often the block runs the decoder of a sharded backbone, without gradient, all processes run it equally
    often: one that has come to its end runs ``idle`` for as long as another one announces a run.
    """
    import torch

    announcing = backbone.decoder.register_forward_pre_hook(lambda *_: all_processes.gather(1) and None, prepend=True)
    try:
        with torch.no_grad():
            yield
            announcing.remove()
            while any(all_processes.gather(0)):
                idle()
    finally:
        announcing.remove()


def _watched(alone: World) -> dict[int, int]:
    """Handles of the other processes of this machine, by their number."""
    machines = alone.gather(zlib.crc32(os.uname().nodename.encode()))
    processes = alone.gather(os.getpid())
    if not hasattr(os, "pidfd_open"):  # only Linux tells of processes that are not one's children
        return {}
    return {
        rank: os.pidfd_open(process)
        for rank, process in enumerate(processes)
        if rank != alone.rank and machines[rank] == machines[alone.rank]
    }


def _stop(here: World, number: int, frame: FrameType | None) -> None:
    """Torchrun ends all processes when one has ended: say so instead of vanishing."""
    signal.signal(number, signal.SIG_DFL)
    raise here.stopped()
