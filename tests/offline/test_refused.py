"""What users run first is run with every outward socket refused, and nothing so much as tries one."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

HERE = Path(__file__).parent
ROOT = HERE.parents[1]


@pytest.fixture
def environment(tmp_path):
    """The environment of a process that is refused; no switch of the one that tests run in, and an empty home."""
    (tmp_path / "home").mkdir()
    (tmp_path / "refused.log").touch()
    return {
        "PATH": os.environ["PATH"], "HOME": str(tmp_path / "home"), "OMP_NUM_THREADS": "1",
        "REFUSED_SOCKETS": str(tmp_path / "refused.log"), "PYTHONPATH": os.pathsep.join([str(HERE), str(ROOT / "src")]),
    }  # fmt: skip


@pytest.fixture
def tried(tmp_path):
    """Tells what sockets were asked for."""
    return lambda: (tmp_path / "refused.log").read_text()


@pytest.fixture(scope="session")
def bank(tmp_path_factory):
    """A bank of one random prompt for the embedded backbone."""
    from clinprompt.stages.banked import add_prompts, open_bank
    from clinprompt.stages.configs import BackboneSettings
    from clinprompt.stages.opened import open_backbone
    from tests.made_prompts import write_random_prompt

    folder = tmp_path_factory.mktemp("offline")
    opened = open_backbone(BackboneSettings())
    file = write_random_prompt(folder / "meds.safetensors", opened, task="medications", placement="suffix")
    add_prompts(open_bank(folder / "bank"), [file], name="meds")
    return folder / "bank"


def command(*arguments):
    return [sys.executable, "-m", "clinprompt", *map(str, arguments)]


OUTWARD = {
    "a name": "socket.create_connection(('example.org', 80), 1)",
    "an address": "socket.create_connection(('192.0.2.1', 80), 1)",
    "a datagram": "socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b'x', ('192.0.2.1', 53))",
    "six": "socket.socket(socket.AF_INET6).connect(('2001:db8::1', 80))",
    "a child": "__import__('subprocess').run([sys.executable, '-c', 'import socket; socket.gethostbyname(\"example.org\")'], check=True)",
}


@pytest.mark.parametrize("code", OUTWARD.values(), ids=OUTWARD)
def test_the_refusal_refuses(environment, tried, code):
    ended = subprocess.run(
        [sys.executable, "-c", f"import socket, sys; {code}"],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode != 0 and "a socket was asked for" in ended.stderr and tried()


PROBE = """
import json, os, sys
from clinprompt.cli import main
seen = {}
class Watch:
    def find_spec(self, name, path=None, target=None):
        if name in ("torch", "transformers", "huggingface_hub", "tokenizers"):
            seen.setdefault(name, {one: os.environ.get(one) for one in main.POSTURE})
sys.meta_path.insert(0, Watch())
try:
    main.run(sys.argv[1:])
finally:
    sys.stderr.write("SEEN " + json.dumps([seen, main.POSTURE]))
"""
"""Runs a command and tells which switches were set when a library was first imported."""


def without_devices():
    """What starts a command where the kernel has no network at all, for code that is not Python; if this machine can."""
    alone = ["unshare", "--net", "--"]
    can = shutil.which("unshare") and subprocess.run([*alone, "true"], capture_output=True, check=False).returncode == 0
    return alone if can else []


def test_predict_asks_no_network_and_libraries_are_told_so_before_they_are_imported(environment, tried, bank, tmp_path):
    predict = [
        "predict",
        str(ROOT / "examples" / "new-notes"),
        "-p",
        f"{bank}:meds",
        "--answer-tokens",
        "2",
        "-o",
        "found",
    ]
    ended = subprocess.run(
        [*without_devices(), sys.executable, "-c", PROBE, *predict],
        env=environment, cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert ended.returncode == 0, ended.stderr
    assert len(list((tmp_path / "found").glob("*.ann"))) == 6 and tried() == ""
    seen, posture = json.loads(ended.stderr.rpartition("SEEN ")[2])
    assert {"torch", "transformers", "huggingface_hub", "tokenizers"} == set(seen)
    assert all(found == posture for found in seen.values())
    assert posture["HF_HUB_DISABLE_TELEMETRY"] == "1" and posture["RAY_USAGE_STATS_ENABLED"] == "0"


def test_a_server_starts_answers_and_ends_without_a_network(environment, tried, bank, tmp_path):
    environment |= {"http_proxy": "http://192.0.2.1:3128", "https_proxy": "http://192.0.2.1:3128"}
    serving = command("serve", "--bank", bank, "--port", "0", "--answer-tokens", "2", "--json")
    with subprocess.Popen(
        serving, env=environment, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        try:
            line = process.stdout.readline()
            assert line, process.stderr.read().decode()
            address = json.loads(line)["address"]
            body = json.dumps({"note": "Aspirin 81 mg daily.", "tasks": ["meds"]}).encode()
            asked = urllib.request.Request(f"{address}/v1/extract", body, {"Content-Type": "application/json"})
            direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
            with direct.open(asked, timeout=60) as answer:
                assert json.load(answer)["results"][0]["tasks"][0]["prompt"] == "meds@1"
            process.send_signal(signal.SIGTERM)
            assert process.wait(30) == 0
        finally:
            process.kill()
    assert tried() == ""


@pytest.mark.slow
def test_the_demo_asks_no_network(environment, tried, tmp_path):
    few = ["sources.teach.steps=2", "sources.distill.steps=2", "score.limit=2", "score.answer_tokens=4", "limits.train=8",
           "limits.dev=2", "limits.test=2", "shots=[2]", "methods.mpt.budget.steps=2", "methods.lora.budget.steps=1",
           "methods.prompt-tuning.budget.steps=2", "methods.fine-tuning.budget.steps=1"]  # fmt: skip
    ended = subprocess.run(
        command("demo", *(part for one in few for part in ("--set", one))),
        env=environment, cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert ended.returncode == 0, ended.stderr[-2000:]
    assert (tmp_path / "results" / "demo" / "report.html").is_file() and tried() == ""
