"""Clients that go away: over a real connection, the row they asked for leaves the batch within a second."""

import json
import threading
import time

import httpx
import pytest

from tests.made_servers import connected, served, wait_until

LONG = {"model": "sum", "max_tokens": 1500}
BODIES = {
    "completion": ("/v1/completions", {**LONG, "prompt": "fever"}),
    "stream": ("/v1/completions", {**LONG, "prompt": "fever", "stream": True}),
    "chat": ("/v1/chat/completions", {**LONG, "messages": [{"role": "user", "content": "fever"}], "stream": True}),
    "extract": ("/v1/extract", {"note": "fever", "tasks": ["sum"]}),
}


@pytest.fixture(scope="module")
def slow(opened, bank):
    """A server whose answers take seconds."""
    with served(bank, opened, answer_tokens=1500, limits={"tokens": 1500}) as running:
        yield running


@pytest.mark.parametrize("kind", BODIES)
def test_the_slot_is_free_within_a_second(slow, kind):
    server, address = slow

    def seconds():
        with connected(address, *BODIES[kind]):
            wait_until(lambda: server.engine.running == 1)
        return wait_until(lambda: server.engine.running == 0 and server.traffic.running == 0)

    # Another program may have the processor just then: once in three times must do.
    assert any(seconds() < 1.0 for _ in range(3))


def test_what_takes_too_long_is_given_up(opened, bank):
    with served(bank, opened, answer_tokens=1500, limits={"tokens": 1500, "seconds": 0.3}) as (server, address):
        for path, body in BODIES.values():
            answer = httpx.post(f"{address}{path}", json=body, timeout=20, trust_env=False)
            if body.get("stream"):
                last = [line for line in answer.text.splitlines() if line][-1]
                assert json.loads(last.removeprefix("data: "))["error"]["code"] == "timeout"
            else:
                assert answer.status_code == 503 and answer.json()["error"]["code"] == "timeout"
                assert int(answer.headers["retry-after"]) >= 1
        wait_until(lambda: server.engine.running == 0)  # the client hears of it before the engine looks again


def test_a_busy_server_says_so_and_is_not_kept_from_the_health_checks(opened, bank):
    with served(bank, opened, answer_tokens=1500, limits={"tokens": 1500, "rows": 1, "waiting": 1, "requests": 3}) as (
        server,
        address,
    ):
        held = [connected(address, *BODIES["stream"])]
        wait_until(lambda: server.engine.running == 1)  # before that there is no room for the second one
        held.append(connected(address, *BODIES["stream"]))
        wait_until(lambda: server.engine.waiting == 1)
        full = httpx.post(f"{address}/v1/completions", json=BODIES["completion"][1], timeout=20)
        assert full.status_code == 503 and full.json()["error"]["code"] == "overloaded"
        assert int(full.headers["retry-after"]) >= 1
        server.traffic.running += 1  # as a third request would
        refused = httpx.get(f"{address}/v1/models")
        assert refused.status_code == 503 and refused.json()["error"]["code"] == "overloaded"
        server.traffic.running -= 1
        assert httpx.get(f"{address}/readyz").status_code == 200
        assert "clinprompt_num_requests_running 1.0" in httpx.get(f"{address}/metrics").text
        held.pop(0).close()
        body = {"model": "sum", "prompt": "x", "max_tokens": 3}
        held.pop(0).close()
        wait_until(lambda: server.engine.running == 0)
        assert httpx.post(f"{address}/v1/completions", json=body, timeout=20).status_code == 200
        figures = httpx.get(f"{address}/metrics").text
        assert 'request_queue_time_seconds_count{route="/v1/completions"} 1.0' in figures


@pytest.mark.parametrize("kind", ["greedy", "choices"])
def test_extractions_that_waited_are_measured_once_each(opened, bank, kind):
    with served(bank, opened, decoding={"kind": kind}) as (_, address):
        for body in (
            {"note": "fever", "tasks": ["flag"], "questions": {"flag": {"question": "Low?", "options": ["a", "b"]}}},
            {"note": "fever " * 400, "tasks": ["meds", "sum"]},
            {"note": " ", "tasks": ["meds"]},  # nothing is asked
        ):
            assert httpx.post(f"{address}/v1/extract", json=body, timeout=20).status_code == 200
        figures = httpx.get(f"{address}/metrics").text
        assert 'request_queue_time_seconds_count{route="/v1/extract"} 2.0' in figures


def test_a_server_that_stops_finishes_what_runs(opened, bank):
    with served(bank, opened, answer_tokens=40, limits={"tokens": 200}) as (server, address):
        found = []

        def ask():
            body = {"model": "sum", "prompt": "fever", "max_tokens": 200}
            found.append(httpx.post(f"{address}/v1/completions", json=body, timeout=30, trust_env=False))

        thread = threading.Thread(target=ask)
        thread.start()
        wait_until(lambda: server.engine.running == 1)
        server.traffic.drain(20)
        assert httpx.get(f"{address}/readyz").status_code == 503
        late = httpx.get(f"{address}/v1/models")
        assert late.status_code == 503 and late.json()["error"]["code"] == "stopping"
        began = time.monotonic()
        thread.join(20)
        assert found[0].status_code == 200 and found[0].json()["usage"]["completion_tokens"] > 50
        assert time.monotonic() - began < 20
