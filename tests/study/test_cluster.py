"""A study on a real Ray cluster of two nodes, one of which is killed in the middle: the results of a local run."""

from __future__ import annotations

import importlib.util
import json
import os
import socket
import threading
import time

import pytest

from clinprompt.errors import InputError
from clinprompt.stages.methods import PromptTuning
from clinprompt.stages.scores import read_scores
from clinprompt.study.archive import Archive
from clinprompt.study.cluster import _answers, run_on_ray
from clinprompt.study.expansion import parts_of, planned
from clinprompt.study.running import Worker, run_gangs
from clinprompt.study.study_file import Partition, Study
from tests.made_backbones import tiny_folder

needs_ray = pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="the extra cluster is not installed")
pytestmark = pytest.mark.filterwarnings("ignore")


LOOPBACK = "127.0.0.2"
"""Ray takes 127.0.0.1 for "the address that others see"."""


@pytest.fixture
def study(tmp_path):
    return Study(
        name="tiny",
        backbones={"tiny": {"path": str(tiny_folder(tmp_path / "backbone", context=4096))}},
        tasks=Partition(targets=("lab-flag",)),
        limits={"train": 6, "dev": 2, "test": 2},
        methods={"prompt-tuning": PromptTuning(budget={"steps": 400, "batch": 2, "rates": (0.1,)})},
        shots=(2,),
        seeds=(1, 2, 3, 4),
        score={"limit": 2, "answer_tokens": 4, "resamples": 100},
    )


@pytest.mark.slow
@needs_ray
def test_a_lost_node_loses_no_result(study, tmp_path, monkeypatch):
    import ray
    from ray.cluster_utils import Cluster

    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, ("src", os.environ.get("PYTHONPATH")))))
    gangs = planned(parts_of(study), study.search)
    there, here = Archive(tmp_path / "there"), Archive(tmp_path / "here")
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    monkeypatch.setenv("RAY_worker_niceness", "0")  # 15 by default, which starves on a busy machine
    here_only = {"node_ip_address": LOOPBACK, "include_dashboard": False}
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, **here_only})
    nodes = [cluster.add_node(num_cpus=1, **here_only) for _ in range(2)]
    killed = []

    def kill():  # as soon as two gangs are under way, one on each node
        while len(list((tmp_path / "runs-there" / "adapt").glob("*/environment.json"))) < 2:
            time.sleep(0.02)
        driver = ray._private.worker.global_worker.node._raylet_socket_name  # killing this one ends the driver
        lost = next(node for node in nodes if node._raylet_socket_name != driver)
        cluster.remove_node(lost, allow_graceful=False)
        killed.append(len(list((there.folder / "gangs").glob("*.json"))))

    killer = threading.Thread(target=kill, daemon=True)
    killer.start()
    said = []
    done, gaps = run_on_ray(
        gangs, archive=there, runs=tmp_path / "runs-there", address=cluster.address,
        say=lambda *words: said.append(words),
    )  # fmt: skip
    killer.join(timeout=60)
    cluster.shutdown()
    assert killed and killed[0] < len(gangs), "the node was killed too late"
    assert (done, gaps) == (len(gangs), [])
    begun = [tmp_path / "runs-there" / there.gang(one.key).adapt / "environment.json" for one in gangs]
    assert max(len(json.loads(file.read_text())["sessions"]) for file in begun) == 2, "no gang was lost and resumed"

    run_gangs(gangs, Worker(tmp_path / "runs-here", here))
    for one in gangs:
        scores = [
            read_scores(tmp_path / runs / archive.gang(one.key).evaluate)
            for runs, archive in (("runs-there", there), ("runs-here", here))
        ]
        assert json.dumps(scores[0]) == json.dumps(scores[1])


@pytest.mark.slow
@needs_ray
def test_an_address_where_nothing_listens_is_told_at_once(tmp_path):
    with pytest.raises(InputError, match="no Ray cluster answers there"):
        run_on_ray([], archive=Archive(tmp_path), runs=tmp_path, address="127.0.0.1:1", say=lambda *_: None)


@pytest.mark.parametrize(("family", "host"), [(socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "[::1]")])
def test_an_address_where_something_listens_is_left_to_ray(family, host):
    try:
        listener = socket.create_server((host.strip("[]"), 0), family=family)
    except OSError:
        pytest.skip("this machine has no such address")
    with listener:
        address = f"{host}:{listener.getsockname()[1]}"
        _answers(address)
    with pytest.raises(InputError, match="no Ray cluster answers there"):
        _answers(address)
