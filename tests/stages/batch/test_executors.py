"""Several processes: the same bytes as one, and what happens when one dies."""

import subprocess
import sys
from collections import Counter
from unittest.mock import MagicMock, patch

import pytest

from clinprompt.errors import InputError
from clinprompt.stages.batch.cluster import _cluster, on_cluster
from clinprompt.stages.batch.executors import in_processes
from clinprompt.stages.batch.job import Job
from clinprompt.stages.predict import predict
from tests.batch_runs import COUNT, batch_settings, files_of
from tests.quick_workers import QuickJob


@pytest.fixture
def parts(tmp_path):
    """Runs quick workers in two processes."""

    def run(name):
        (tmp_path / name).mkdir()
        return dict(in_processes(QuickJob(tmp_path / name), range(1, 9), processes=2))

    run.marks = lambda name: Counter({file.name: len(file.read_text()) for file in (tmp_path / name).iterdir()})
    return run


def test_a_process_that_dies_loses_its_shard_only(parts):
    assert parts("dying") == {number: b"%d" % number for number in range(1, 9)}
    assert parts.marks("dying") == Counter({str(number): 1 for number in range(1, 9)}) + Counter({"3": 1})


def test_what_a_worker_says_is_said(parts):
    with pytest.raises(InputError, match=r"^no \(there\)\. Try\.$"):
        parts("refusing")
    with pytest.raises(InputError, match="3 processes died while they worked on shard 5"):
        parts("deadly")
    with pytest.raises(RuntimeError, match=r"^ValueError in a worker process$"):
        parts("broken")


FIRST = """
import multiprocessing, os, signal
from clinprompt.stages.batch.executors import _interrupts_held
if __name__ == "__main__":
    with _interrupts_held():
        process = multiprocessing.get_context("spawn").Process(target=os.getpid)
        process.start()
        print(signal.SIGINT in signal.pthread_sigmask(signal.SIG_BLOCK, set()))
    process.join()
    print(signal.SIGINT in signal.pthread_sigmask(signal.SIG_BLOCK, set()))
"""


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
def test_interrupts_are_held_for_the_first_process_too(tmp_path):
    (tmp_path / "first.py").write_text(FIRST)
    ended = subprocess.run([sys.executable, tmp_path / "first.py"], capture_output=True, text=True, timeout=120)
    assert ended.stdout.split() == ["True", "False"], ended.stderr


# A process that loads the network takes seconds to start: one is started here, two are for the slow tests.
@pytest.mark.parametrize("shard", [COUNT, pytest.param(3, marks=pytest.mark.slow)])
def test_other_processes_write_the_same_bytes(models, tiny, notes, tmp_path, shard):
    one = batch_settings(models, notes, tmp_path / "one" / "o.jsonl")
    predict(one, opened=tiny)
    two = batch_settings(models, notes, tmp_path / "two" / "o.jsonl", batch={"processes": 2, "shard": shard})
    assert predict(two).notes == COUNT
    assert files_of(one.out.parent) == files_of(two.out.parent)


@pytest.mark.filterwarnings("ignore")  # Ray sets its own deprecated options
def test_ray_writes_the_same_bytes(models, tiny, notes, tmp_path, monkeypatch):
    pytest.importorskip("ray.data", reason="the extra cluster is not installed")
    monkeypatch.setenv("RAY_worker_niceness", "0")  # 15 by default, and then a busy machine never gets to it
    one = batch_settings(models, notes, tmp_path / "one" / "o.jsonl")
    predict(one, opened=tiny)
    two = batch_settings(models, notes, tmp_path / "two" / "o.jsonl", batch={"executor": "ray"})
    assert predict(two).notes == COUNT
    assert files_of(one.out.parent) == files_of(two.out.parent)


def test_a_cluster_that_nobody_named_is_never_joined(monkeypatch):
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    ray = MagicMock()
    ray.is_initialized.return_value = False
    with _cluster(ray, 2):
        assert ray.init.call_args.kwargs["address"] == "local"
    ray.shutdown.assert_called_once_with()


def test_without_ray_a_paragraph_says_what_to_install(models, notes, tmp_path):
    job = Job(batch_settings(models, notes, tmp_path / "o"), ("x",), True)
    with patch.dict("sys.modules", {"ray": None}), pytest.raises(InputError, match="Install the extra `cluster`"):
        next(on_cluster(job, [1], actors=1))
