"""The time of a request and its end reach all of its work, also before the engine hears of it."""

import asyncio
import json
import logging
import os
import signal
import threading
import time
from contextlib import contextmanager

import httpx
import pytest

from clinprompt.backbones.tokenizing import TokenizerBackbone
from clinprompt.serving.audit import AuditLog
from clinprompt.serving.audit_line import AuditSecret
from clinprompt.serving.discreet import Discreet
from clinprompt.serving.metrics import Metrics
from clinprompt.serving.visit import Ledger
from tests.made_servers import connected, served, serving, start, wait_until
from tests.zygote import progress, zygote

LONG = "Took aspirin 81 mg daily for chest pain.\n" * 5000
ROWS = 5
"""Questions that are put into tokens before the work is held up."""

BODIES = {
    "windows": ("/v1/extract", {"note": LONG, "tasks": ["meds", "first"]}),
    "tasks": ("/v1/extract", {"note": LONG[:4000], "tasks": ["meds", "doses", "sum", "first"]}),
    "note": ("/v1/completions", {"model": "sum", "prompt": LONG}),
}


class Held:
    """Counts the texts that are put into tokens, and holds the one after ``ROWS`` until it may go on."""

    def __init__(self, monkeypatch, *, after=ROWS):
        self.after, self.count, self.may = after, 0, threading.Event()
        true = TokenizerBackbone.encode

        def encode(backbone, *given, **named):
            self.count += 1
            if self.count > self.after:
                self.may.wait(10)
            return true(backbone, *given, **named)

        monkeypatch.setattr(TokenizerBackbone, "encode", encode)

    @property
    def reached(self):
        """Whether it holds something."""
        return self.count > self.after


@contextmanager
def held(monkeypatch, bank, opened, kind, **limits):
    """A server whose work for a request is held up."""
    with served(bank, opened, limits={"requests": 1, **limits}) as (server, address):
        holding = Held(monkeypatch, after=0 if kind == "note" else ROWS)
        yield server, address, holding
        # The thread is still at work, and keeps the place of its request.
        assert not holding.may.is_set()
        wait_until(lambda: server.traffic.running == 1)
        refused = httpx.get(f"{address}/v1/models", trust_env=False)
        assert refused.status_code == 503 and refused.json()["error"]["code"] == "overloaded"
        holding.may.set()
        wait_until(lambda: server.traffic.running == 0)
        assert holding.count == holding.after + 1  # nothing more was begun
        assert httpx.get(f"{address}/v1/models", trust_env=False).status_code == 200


@pytest.mark.parametrize("kind", BODIES)
def test_the_time_of_a_request_holds_before_the_engine_hears_of_it(monkeypatch, bank, opened, kind):
    with held(monkeypatch, bank, opened, kind, seconds=2.0) as (_, address, holding):
        path, body = BODIES[kind]
        answer = httpx.post(f"{address}{path}", json=body, timeout=60, trust_env=False)
        assert answer.status_code == 503 and answer.json()["error"]["code"] == "timeout"
        assert holding.reached


@pytest.mark.parametrize("kind", BODIES)
def test_a_client_that_goes_ends_the_work_before_the_engine_hears_of_it(monkeypatch, bank, opened, kind):
    with held(monkeypatch, bank, opened, kind) as (_, address, holding):
        with connected(address, *BODIES[kind]):
            wait_until(lambda: holding.reached)
        told = f'requests_total{{route="{BODIES[kind][0]}",status="499"}} 1.0'
        wait_until(lambda: told in httpx.get(f"{address}/metrics", trust_env=False).text)


def start_held(words):
    """A server that spends half a minute on putting a long note into tokens, and tells when it begins and ends."""
    true = TokenizerBackbone.encode

    def encode(backbone, pair, **named):
        if sum(len(piece.text) for piece in pair.context) < len(LONG):
            return true(backbone, pair, **named)
        os.write(progress(), b"b")
        time.sleep(30)
        os.write(progress(), b"e")
        return true(backbone, pair, **named)

    TokenizerBackbone.encode = encode
    try:
        start(words)
    finally:
        threading._shutdown()  # a forked worker leaves this out, with which Python ends: it waits for all threads


@pytest.mark.parametrize("kind", ["windows", "note"])
def test_a_stop_answers_what_it_gives_up_and_waits_for_no_thread(opened, bank, tmp_path, kind):
    log, model = tmp_path / "audit.jsonl", opened.backbone.model.name_or_path
    words = ("--bank", str(bank), "-b", model, "--port", "0", "--set", "limits.drain=0.2", "--audit", str(log))
    process, address = serving(tmp_path / "server", *words, target="tests.serving.test_deadlines:start_held")
    path, body = BODIES[kind]
    body = {"note": LONG, "tasks": ["sum"]} if kind == "windows" else body
    found = []
    asking = threading.Thread(
        target=lambda: found.append(httpx.post(f"{address}{path}", json=body, timeout=60, trust_env=False))
    )
    asking.start()
    assert process.reached(1)
    os.kill(process.pid, signal.SIGTERM)
    code = zygote().wait(process)
    asking.join(60)
    assert code == 0 and process.steps == 1  # its thread had not come to an end
    [answer] = found
    assert answer.status_code == 503 and answer.json()["error"]["code"] == "stopping"
    assert "requests given up: 1" in process.said and "Traceback" not in process.said
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    assert [one["event"] for one in lines] == ["opened", "request", "closed"] and lines[1]["status"] == 503


@pytest.mark.parametrize("begun", [False, True])
def test_a_request_that_is_cancelled_has_its_line_and_its_form(tmp_path, caplog, begun):
    sent = []

    async def app(scope, receive, send):
        if begun:
            scope["state"]["visit"].streams = True
            await send({"type": "http.response.start", "status": 200, "headers": []})
        await asyncio.sleep(60)

    async def cancelled():
        async def send(message):
            sent.append(message)

        scope = {"type": "http", "path": "/v1/extract", "headers": []}
        task = asyncio.ensure_future(application(scope, None, send))
        while not (sent or not begun):
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.01)
        task.cancel()
        await asyncio.wait([task])
        assert not task.cancelled() and task.exception() is None

    metrics = Metrics(routes=("/v1/extract",), tasks=set, running=lambda: 0, waiting=lambda: 0)
    with AuditLog(tmp_path / "audit.jsonl", secret=AuditSecret(b"s" * 32)) as audit:
        application = Discreet(Ledger(app, metrics=metrics, audit=audit))
        with caplog.at_level(logging.WARNING):
            asyncio.run(cancelled())
    lines = [json.loads(line) for line in (tmp_path / "audit.jsonl").read_text().splitlines()][1:-1]
    assert [(one["event"], one["status"]) for one in lines] == (
        [("begun", 200), ("ended", 200)] if begun else [("request", 503)]
    )
    if not begun:
        assert sent[0]["status"] == 503 and json.loads(sent[1]["body"])["error"]["code"] == "stopping"
    assert not caplog.records
