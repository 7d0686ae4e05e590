"""The server as a process: it begins with one command, and ends with one signal when what runs is finished."""

import json
import os
import signal
import subprocess
import sys
import threading

import httpx
import pytest

from tests.conftest import REPOSITORY
from tests.made_servers import wait_until


@pytest.fixture
def process(opened, bank, tmp_path):
    command = [
        sys.executable, "-m", "clinprompt", "serve", "--bank", str(bank), "-b", opened.backbone.model.name_or_path,
        "--port", "0", "--set", "limits.tokens=1000", "--audit", str(tmp_path / "audit.jsonl"), "--json",
    ]  # fmt: skip
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY / "src")}
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment, cwd=tmp_path
    ) as running:
        try:
            yield running
        finally:
            running.kill()


def test_a_signal_lets_running_requests_finish(process, tmp_path):
    told = json.loads(process.stdout.readline())
    address, found = told["address"], []
    assert told["faults"] == {} and "meds" in told["prompts"] and address.startswith("http://127.0.0.1:")

    def ask():
        body = {"model": "sum", "prompt": "fever", "max_tokens": 300}
        found.append(httpx.post(f"{address}/v1/completions", json=body, timeout=60, trust_env=False))

    with httpx.Client(base_url=address, timeout=10, trust_env=False) as client:
        assert client.get("/readyz").status_code == 200
        thread = threading.Thread(target=ask)
        thread.start()
        wait_until(lambda: "num_requests_running 1.0" in client.get("/metrics").text, seconds=10)
        process.send_signal(signal.SIGTERM)
        wait_until(lambda: client.get("/readyz").status_code == 503)
        assert client.get("/readyz").json()["stopping"] and client.get("/healthz").status_code == 200
        assert client.get("/v1/models").json()["error"]["code"] == "stopping"
        thread.join(30)
    assert found[0].status_code == 200 and found[0].json()["usage"]["completion_tokens"] > 100
    assert process.wait(15) == 0
    assert "all requests are finished" in process.stderr.read()
    lines = [json.loads(line) for line in (tmp_path / "audit.jsonl").read_text().splitlines()]
    assert [one["event"] for one in lines] == ["opened", "request", "request", "closed"]
    assert {one.get("status") for one in lines[1:3]} == {200, 503}
