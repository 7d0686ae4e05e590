"""The real command under torchrun: killed in the middle, resumed, and the same folder as if nothing had happened."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.made_backbones import tiny_folder
from tests.zygote import REPOSITORY, ended, free_port, quickly, zygote

HERE = "tests.stages.test_parallel_job"
STEPS = 12


def command(arguments: list[str], save_every: float) -> None:
    """The command line, in a worker that saves as often as it is told."""
    from clinprompt.cli import main
    from clinprompt.training.loop import train

    train.__kwdefaults__["save_every"] = save_every
    main.run(arguments)


@pytest.fixture(scope="module")
def work(tmp_path_factory) -> Path:
    from clinprompt.stages.configs import PrepareSettings
    from clinprompt.stages.prepare import prepare

    folder = tmp_path_factory.mktemp("work")
    tiny_folder(folder / "tiny", context=4096)
    for task in ("medications", "impression"):
        run = prepare(PrepareSettings(task=task, limits={"train": 6, "dev": 3, "test": 1}), runs=folder / "data")
        (folder / task).symlink_to(run.path)
    return folder


def teach(work: Path, runs: str, *, steps: int = STEPS) -> list[str]:
    budget = {"steps": steps, "batch": 2, "rates": [0.1], "dev_limit": 2, "dev_every": 5}
    sets = [part for name, value in budget.items() for part in ("--set", f"budget.{name}={value}")]
    tasks = [str(work / task) for task in ("medications", "impression")]
    return ["teach", *tasks, "-b", str(work / "tiny"), "--runs", str(work / runs), *sets]


def content(work: Path, runs: str) -> dict[str, bytes]:
    """What a finished run holds, without times and places."""
    [run] = (work / runs / "teach").glob("[!.]*")
    assert (run / "done.json").is_file() and not (run / "checkpoints").exists()
    found = {path.name: path.read_bytes() for path in (run / "outputs").iterdir()}
    return found | {"metrics": (run / "metrics.jsonl").read_bytes()}


def test_a_killed_command_goes_on_to_the_same_bytes(work, tmp_path):
    def start(runs: str):
        return zygote().fork(tmp_path / runs, f"{HERE}:command", arguments=teach(work, runs), save_every=0.0)

    assert zygote().wait(start("straight")) == 0
    for _ in range(3):
        worker = start("killed")
        wait_for_lines(work / "killed", 2)
        worker.kill()
        assert zygote().wait(worker) == -9
        assert not list((work / "killed").rglob("done.json"))
    worker = start("killed")
    assert zygote().wait(worker) == 0, worker.said
    assert content(work, "killed") == content(work, "straight")
    assert content(work, "killed")["metrics"].count(b"\n") == STEPS


def wait_for_lines(runs: Path, more: int) -> None:
    """Until a run has written so many more lines of metrics."""

    def lines() -> int:
        return sum(path.read_bytes().count(b"\n") for path in runs.rglob("metrics.jsonl"))

    until, least = time.monotonic() + 60, lines() + more
    while lines() < least:
        assert time.monotonic() < until
        time.sleep(0.002)


def test_a_worker_of_torchrun_is_killed_and_the_run_goes_on_later(work, tmp_path):
    port = free_port()
    launch = ["--nproc-per-node", "2", "--master-addr", "127.0.0.1", "--master-port", str(port), "-m", "clinprompt"]
    torchrun = subprocess.Popen(
        [sys.executable, "-m", "torch.distributed.run", *launch, *teach(work, "two", steps=4000)],
        env={**os.environ, "PYTHONPATH": str(REPOSITORY / "src"), "GLOO_SOCKET_IFNAME": "lo"},
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    wait_for_lines(work / "two", 3)
    os.kill(rank_of(torchrun.pid, 1), 9)
    with quickly(15):
        said, _ = torchrun.communicate(timeout=30)
    assert torchrun.returncode != 0
    ours = said.partition("Traceback")[0]  # torchrun itself ends with one
    assert "error: process 1 of the 2 of this run has ended" in ours, said
    assert "Run the same command again: it goes on from the last checkpoint" in ours
    assert not list((work / "two").rglob("done.json")) and not list((work / "two").rglob("*.part"))


def rank_of(parent: int, rank: int) -> int:
    """The child of torchrun that has this rank."""
    for child in Path(f"/proc/{parent}/task/{parent}/children").read_text().split():
        if f"RANK={rank}".encode() in Path(f"/proc/{child}/environ").read_bytes().split(b"\0"):
            return int(child)
    raise AssertionError("no such process")


@pytest.mark.parametrize("sharded", [False, True])
def test_two_processes_that_are_killed_end_with_the_bytes_of_two_that_are_not(work, tmp_path, sharded):
    def start(runs: str):
        arguments = [*teach(work, f"{runs}-{sharded}", steps=9), "--set", f"backbone.sharded={str(sharded).lower()}"]
        return zygote().world(tmp_path / runs, f"{HERE}:command", size=2, arguments=arguments, save_every=0.0)

    for worker in start("straight"):
        assert zygote().wait(worker) == 0, worker.said
    workers = start("killed")
    wait_for_lines(work / f"killed-{sharded}", 4)
    workers[1].kill()
    assert [zygote().wait(worker) for worker in workers] == [2, -9]
    assert "error: process 1 of the 2 of this run has ended" in workers[0].said
    assert not list((work / f"killed-{sharded}").rglob("done.json"))
    again = start("killed")
    for worker in again:
        assert zygote().wait(worker) == 0, worker.said
    assert "done" in again[0].said and again[1].said == ""
    assert content(work, f"killed-{sharded}") == content(work, f"straight-{sharded}")
    assert all(ended(worker.pid) for worker in (*workers, *again))
