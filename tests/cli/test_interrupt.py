"""Ctrl-C in a terminal goes to every process there: no traceback, no process left, and the run goes on afterwards."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from clinprompt.stages.batch.parts_folder import PartsFolder
from clinprompt.stages.predict import predict
from tests.batch_runs import COUNT, batch_settings, files_of, made_backbone, opened, write_lines
from tests.made_servers import wait_until

REPOSITORY = Path(__file__).parents[2]

# A shell may have started the tests in the background, where interrupts are ignored, and that is inherited.
HEARING = (
    "import signal, sys; signal.signal(signal.SIGINT, signal.default_int_handler); "
    "from clinprompt.cli.main import run; run(sys.argv[1:])"
)


def children(pid):
    """The processes that a process has started, and theirs."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            name, parent = int(stat.parent.name), int(stat.read_text().rpartition(")")[2].split()[1])
        except (OSError, ValueError):
            continue
        if parent == pid:
            found += [name, *children(name)]
    return found


# One moment is when the others begin, where nothing of ours could listen yet; the other when they answer.
@pytest.mark.skipif(not Path("/proc").is_dir(), reason="looks into /proc")
@pytest.mark.parametrize("moment", ["starting", pytest.param("answering", marks=pytest.mark.slow)])
def test_an_interrupt_ends_all_processes_in_one_line(tmp_path, moment):
    models, notes = made_backbone(tmp_path), write_lines(tmp_path / "notes.jsonl")
    out = tmp_path / "found" / "o.jsonl"
    words = ["predict", str(notes), "--reader", "jsonl", "--out", str(out), "--to", "jsonl", "--answer-tokens", "3",
             "--prompt", str(models / "medications.safetensors"), "--backbone", str(models / "tiny"),
             "--shard", "1", "--processes", "2"]  # fmt: skip
    environment = {**os.environ, "PYTHONPATH": f"{REPOSITORY / 'src'}{os.pathsep}{REPOSITORY}"}
    said = tmp_path / "said"
    with said.open("w") as stream:
        run = subprocess.Popen(
            [sys.executable, "-c", HEARING, *words], stdin=subprocess.DEVNULL, stdout=stream, stderr=stream,
            env=environment, start_new_session=True,
        )  # fmt: skip
    try:
        if moment == "starting":
            wait_until(lambda: len(children(run.pid)) >= 2 or run.poll() is not None, seconds=120)
        else:
            wait_until(lambda: PartsFolder(out).numbers() or run.poll() is not None, seconds=120)
        assert run.poll() is None, said.read_text()
        others = children(run.pid)
        os.killpg(run.pid, signal.SIGINT)
        assert run.wait(60) == 130, said.read_text()
    finally:
        if run.poll() is None:
            os.killpg(run.pid, signal.SIGKILL)
    told = said.read_text()
    assert "interrupted; run the same command again to resume" in told
    assert "Traceback" not in told and "KeyboardInterrupt" not in told and "Error" not in told
    wait_until(lambda: not [pid for pid in others if Path(f"/proc/{pid}").exists()])
    answered = len(PartsFolder(out).numbers())
    tiny = opened(str(models / "tiny"))
    rest = predict(batch_settings(models, notes, out, batch={"shard": 1}), opened=tiny)
    assert rest.notes == COUNT and (moment == "starting" or 0 < answered < COUNT)
    whole = batch_settings(models, notes, tmp_path / "whole" / "o.jsonl", batch={"shard": 1})
    predict(whole, opened=tiny)
    assert files_of(out.parent) == files_of(whole.out.parent)
