"""The server as a process: it begins with one command, and ends with one signal when what runs is finished."""

import json
import os
import signal
import threading

import httpx

from tests.made_servers import serving, wait_until
from tests.zygote import zygote


def test_a_signal_lets_running_requests_finish(opened, bank, tmp_path):
    log, model = tmp_path / "audit.jsonl", opened.backbone.model.name_or_path
    words = ("--bank", str(bank), "-b", model, "--port", "0", "--set", "limits.tokens=1000", "--audit", str(log))
    process, address = serving(tmp_path / "server", *words)
    assert address.startswith("http://127.0.0.1:")
    found = []

    def ask():
        body = {"model": "sum", "prompt": "fever", "max_tokens": 300}
        found.append(httpx.post(f"{address}/v1/completions", json=body, timeout=60, trust_env=False))

    with httpx.Client(base_url=address, timeout=10, trust_env=False) as client:
        assert client.get("/readyz").status_code == 200
        thread = threading.Thread(target=ask)
        thread.start()
        wait_until(lambda: "num_requests_running 1.0" in client.get("/metrics").text)
        os.kill(process.pid, signal.SIGTERM)
        wait_until(lambda: client.get("/readyz").status_code == 503)
        assert client.get("/readyz").json()["stopping"] and client.get("/healthz").status_code == 200
        assert client.get("/v1/models").json()["error"]["code"] == "stopping"
        thread.join(60)
    assert found[0].status_code == 200 and found[0].json()["usage"]["completion_tokens"] > 100
    assert zygote().wait(process) == 0
    assert "all requests are finished" in process.said
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    assert [one["event"] for one in lines] == ["opened", "request", "request", "closed"]
    assert {one.get("status") for one in lines[1:3]} == {200, 503}
