"""Who works on the shards of a run: this process, or several that each have the backbone."""

from __future__ import annotations

import multiprocessing
import signal
import traceback
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection, wait
from typing import TYPE_CHECKING, Any

from clinprompt.errors import InputError, raise_all

if TYPE_CHECKING:
    from clinprompt.stages.batch.job import Job
    from clinprompt.stages.batch.shard_worker import ShardWorker

Parts = Iterator[tuple[int, bytes]]
"""Numbers and parts of shards as they are ready."""

_TIMES = 3
"""So often a shard may take its process down with it."""


def in_turn(worker: ShardWorker, numbers: Sequence[int], *, watch: Callable[[int, float], None]) -> Parts:
    """The parts one after the other; ``watch`` hears the number of a shard and what further share of it is done."""
    for number in numbers:
        yield number, worker.part(number, watch=lambda share, number=number: watch(number, share))  # type: ignore[misc]


def in_processes(job: Job, numbers: Sequence[int], *, processes: int) -> Parts:
    """The parts from so many processes; one that dies is replaced, and only its shard is done again.

    Raises :class:`InputError` for what a worker refuses, and for a shard that ends three processes.
    """
    left, died, working = deque(numbers), Counter[int](), list[_Process]()
    try:
        for place in range(min(processes, len(numbers))):
            working.append(_Process.started(job, place, processes))
            working[-1].give(left)
        while busy := {one.pipe: one for one in working if one.number is not None}:
            for pipe in wait(list(busy)):
                process = busy[pipe]  # type: ignore[index]
                number = process.number
                assert number is not None
                try:
                    said = process.pipe.recv()
                except EOFError:
                    died[number] += 1
                    if died[number] == _TIMES:
                        raise _deadly(number) from None
                    left.appendleft(number)
                    working[working.index(process)] = process = process.replaced(job, processes)
                else:
                    yield number, _part(said)
                process.give(left)
    finally:
        for process in working:
            process.end()


@dataclass
class _Process:
    """A process that makes one part at a time; ``number`` is the shard that it is working on."""

    place: int
    process: Any
    pipe: Connection
    number: int | None = field(default=None)

    @staticmethod
    def started(job: Job, place: int, processes: int) -> _Process:
        context = multiprocessing.get_context("spawn")  # a fork would share locks of threads that it has not
        ours, theirs = context.Pipe()
        process = context.Process(target=_serve, args=(job, theirs, place, processes), daemon=True)
        with _interrupts_held():
            process.start()
        theirs.close()  # so that its death is heard as the end of the pipe
        return _Process(place, process, ours)

    def replaced(self, job: Job, processes: int) -> _Process:
        self.end()
        return _Process.started(job, self.place, processes)

    def give(self, left: deque[int]) -> None:
        self.number = left.popleft() if left else None
        if self.number is not None:
            self.pipe.send(self.number)

    def end(self) -> None:
        self.pipe.close()
        self.process.kill()
        self.process.join()


@contextmanager
def _interrupts_held() -> Iterator[None]:
    """What is started meanwhile never hears Ctrl-C, which goes to all processes of a terminal: ours ends them."""
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    # Python starts this process with the first one of ours otherwise, and then lets interrupts through in between.
    resource_tracker.ensure_running()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _serve(job: Job, pipe: Connection, place: int, processes: int) -> None:
    """The work of one process: numbers in, parts out, until the pipe ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        worker = job.placed(place, processes).worker()
        while True:
            pipe.send(("part", worker.part(pipe.recv())))
    except EOFError:
        return
    except InputError as fault:
        faults = getattr(fault, "faults", [fault])
        pipe.send(("refused", [(one.what, one.where, one.allowed, one.fix) for one in faults]))
    except Exception as fault:
        traceback.print_exc()
        pipe.send(("broken", type(fault).__name__))


def _part(said: tuple[str, Any]) -> bytes:
    kind, content = said
    if kind == "refused":
        raise_all([InputError(what, where=where, allowed=allowed, fix=fix) for what, where, allowed, fix in content])
    if kind == "broken":
        raise RuntimeError(f"{content} in a worker process")
    return content


def _deadly(number: int) -> InputError:
    return InputError(
        f"{_TIMES} processes died while they worked on shard {number}",
        where="batch.processes",
        fix="look whether memory was short; take fewer --processes or a smaller --shard",
    )
