"""A process that has imported everything once and forks workers in an instant, to be run side by side or killed.

A worker is a function of a test module, named ``module:function``, with plain keyword arguments. It tells how far it
is by writing bytes to the file descriptor that :func:`progress` gives.
"""

from __future__ import annotations

import contextlib
import functools
import importlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

REPOSITORY = Path(__file__).parents[1]
PRELOADED = ("clinprompt.stages.adapt", "clinprompt.cli.main", "transformers.models.llama.modeling_llama")


@dataclass
class Worker:
    """A forked process; ``path`` is where its output and progress lie, with these suffixes."""

    pid: int
    path: Path

    @property
    def steps(self) -> int:
        """How many bytes of progress it has written."""
        return self.path.with_suffix(".steps").stat().st_size

    @property
    def said(self) -> str:
        """What it wrote to both streams."""
        return self.path.with_suffix(".log").read_text()

    def reached(self, steps: int) -> bool:
        """Wait until it is so far; false when it has ended before."""
        while self.steps < steps:
            if not Path(f"/proc/{self.pid}/fd").exists() or ended(self.pid):
                return False
            time.sleep(0.0005)
        return True

    def kill(self) -> None:
        """End it without warning."""
        os.kill(self.pid, signal.SIGKILL)


def ended(pid: int) -> bool:
    """Whether a process is a zombie or gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] in "ZX"
    except FileNotFoundError:
        return True


class Zygote:
    """The forking process, spoken to in lines of JSON."""

    def __init__(self) -> None:
        environment = {**os.environ, "PYTHONPATH": f"{REPOSITORY / 'src'}{os.pathsep}{REPOSITORY}"}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.zygote"],
            cwd=REPOSITORY, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip

    def warm(self, target: str, /, **arguments: object) -> None:
        """Call a function in the zygote itself, so that workers find it done."""
        self._ask(warm=target, arguments=arguments)

    def fork(
        self, path: Path, target: str, /, *, environment: dict[str, str] | None = None, **arguments: object
    ) -> Worker:
        """Start a worker."""
        path.with_suffix(".steps").write_bytes(b"")
        path.with_suffix(".log").write_bytes(b"")
        return Worker(self._ask(fork=target, arguments=arguments, path=str(path), environment=environment or {}), path)

    def world(self, path: Path, target: str, /, *, size: int, **arguments: object) -> list[Worker]:
        """Start workers that find each other as those of torchrun do."""
        port = free_port()
        return [
            self.fork(
                path.with_name(f"{path.name}-{rank}"),
                target,
                environment={
                    "RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": str(size), "LOCAL_WORLD_SIZE": str(size),
                    "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port),
                },
                **arguments,
            )
            for rank in range(size)
        ]  # fmt: skip

    def wait(self, worker: Worker) -> int:
        """Exit code of a worker; the number of the signal, negative, when one ended it."""
        return self._ask(wait=worker.pid)

    def _ask(self, **request: object) -> int:
        self.process.stdin.write(json.dumps(request) + "\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline()
        assert answer, "the zygote has died"
        return json.loads(answer)


@functools.cache
def zygote() -> Zygote:
    """The one zygote of a test run; it ends with its standard input."""
    return Zygote()


def free_port() -> int:
    """A port of this machine that nobody uses."""
    with contextlib.closing(socket.socket()) as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


_progress = -1


def progress() -> int:
    """File descriptor that this worker's progress is written to."""
    return _progress


def _serve() -> None:
    import torch

    torch.set_num_threads(1)
    for name in PRELOADED:
        importlib.import_module(name)
    for line in sys.stdin:
        request = json.loads(line)
        if "wait" in request:
            answer = os.waitstatus_to_exitcode(os.waitpid(request["wait"], 0)[1])
        elif "warm" in request:
            _call(request["warm"], request["arguments"])
            answer = 0
        else:
            _import(request["fork"])
            answer = os.fork()
            if not answer:
                _work(request)
        sys.stdout.write(f"{answer}\n")
        sys.stdout.flush()


def _work(request: dict) -> None:
    import torch

    import tests.zygote

    code = 1
    try:
        # The first to ask torch for its pool after a fork makes a new one; threads that ask at once find none.
        torch.set_num_threads(1)
        path = Path(request["path"])
        log = os.open(path.with_suffix(".log"), os.O_WRONLY | os.O_APPEND)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.dup2(log, 1)
        os.dup2(log, 2)
        tests.zygote._progress = os.open(path.with_suffix(".steps"), os.O_WRONLY | os.O_APPEND)
        os.environ.update(request["environment"])
        importlib.import_module("clinprompt.training.parallel").world.cache_clear()  # known if the zygote was warmed
        _call(request["fork"], request["arguments"])
        code = 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 0
    except BaseException:
        import traceback

        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _import(target: str) -> object:
    module, _, name = target.partition(":")
    return getattr(importlib.import_module(module), name)


def _call(target: str, arguments: dict) -> None:
    _import(target)(**arguments)


@contextlib.contextmanager
def quickly(seconds: float) -> Iterator[None]:
    """The block takes at most so long."""
    began = time.monotonic()
    yield
    assert time.monotonic() - began < seconds


if __name__ == "__main__":
    _serve()
