"""Busy, slow, wrong and unreachable servers: what is sent again, and what a person is told, never with note text."""

from __future__ import annotations

import time

import httpx
import pytest

from clinprompt.errors import InputError
from clinprompt.inference.engines import wire as module
from clinprompt.inference.engines.address import check_address
from clinprompt.inference.engines.completion import parse
from clinprompt.inference.engines.wire import Refused, Wire

URL = "http://127.0.0.1:9/v1"
NOTE = {"prompt": "Mrs Canary takes aspirin"}


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(module, "FIRST_PAUSE", 0.001)


def wire(*answers, **options):
    """A wire to a server that gives these answers one after the other, the last one for good."""
    left = list(answers)

    def answer(request):
        one = left.pop(0) if len(left) > 1 else left[0]
        if isinstance(one, Exception):
            raise one
        return one(request) if callable(one) else httpx.Response(*one[:1], **one[1])

    return Wire(URL, transport=httpx.MockTransport(answer), **options)


def good(**content):
    return 200, {"json": {"choices": [{"text": "ok"}], **content}}


def echoing(status, **headers):
    """A server that repeats the note in its error."""
    return lambda request: httpx.Response(
        status,
        headers=headers,
        json={"error": {"message": request.content.decode(), "type": "Canary x", "code": "bad_id"}},
    )


@pytest.mark.parametrize("status", [429, 502, 503, 504])
def test_a_busy_server_is_asked_again(status):
    assert wire(echoing(status), echoing(status), good()).complete(NOTE)["choices"]
    with pytest.raises(Refused, match=rf"too busy 3 times \(HTTP {status}\)") as caught:
        wire(echoing(status), retries=2).complete(NOTE)
    assert "Canary" not in str(caught.value)


def test_a_server_says_when_to_come_back():
    began = time.monotonic()
    wire(echoing(503, **{"Retry-After": "0.3"}), good()).complete(NOTE)
    assert time.monotonic() - began >= 0.3
    wire(echoing(503, **{"Retry-After": "Wed, 21 Oct 2026 07:28:00 GMT"}), good()).complete(NOTE)


def test_a_broken_connection_is_tried_again_and_a_slow_answer_is_not():
    broken = httpx.RemoteProtocolError("Canary")
    assert wire(broken, httpx.ConnectError("no"), good()).complete(NOTE)
    with pytest.raises(InputError, match="the engine has gone away") as caught:
        wire(broken, retries=1).complete(NOTE)
    assert "Canary" not in str(caught.value)
    with pytest.raises(InputError, match=r"within 7 seconds.*engine\.timeout"):
        wire(httpx.ReadTimeout("slow"), good(), timeout=7).complete(NOTE)


@pytest.mark.parametrize(
    ("answer", "key", "words"),
    [
        (echoing(401), "", "asks for a key"),
        (echoing(403), "secret", "does not accept the key"),
        (echoing(400), "", r"refuses /completions \(HTTP 400, bad_id\)"),
        (echoing(500), "", "HTTP 500"),
        (echoing(404), "", "no /completions for this model"),
        (echoing(307, Location="http://elsewhere/v1"), "", "on to another address"),
        ((200, {"text": "<html>Canary</html>"}), "", "no JSON object"),
        ((200, {"json": ["Canary"]}), "", "no JSON object"),
    ],
)
def test_what_a_person_is_told(answer, key, words):
    with pytest.raises(InputError, match=words) as caught:
        wire(answer, key=key).complete(NOTE)
    assert "Canary" not in str(caught.value) and "secret" not in str(caught.value)


def test_where_there_is_no_such_server():
    with pytest.raises(InputError, match="there is no engine at this address"):
        Wire(URL).models()
    for answer, words in (
        ((404, {"text": "no"}), "no OpenAI-compatible one"),
        ((200, {"json": {"data": 3}}), "list models"),
    ):
        with pytest.raises(InputError, match=words):
            wire(answer).models()


def test_the_first_failure_ends_all_and_order_is_kept():
    numbered = lambda request: httpx.Response(200, json={"number": request.read().decode()})  # noqa: E731
    found = wire(numbered, at_once=4).several({"n": i} for i in range(20))
    assert [one["number"] for one in found] == [f'{{"n":{i}}}' for i in range(20)]
    asked = []

    def fails(request):
        asked.append(request)
        return httpx.Response(400, json={})

    with pytest.raises(Refused):
        wire(fails, at_once=2).several({"n": i} for i in range(500))
    assert len(asked) < 500


def test_closing_ends_the_waiting(monkeypatch):
    monkeypatch.setattr(module, "FIRST_PAUSE", 30.0)
    one = wire(echoing(503))
    one.closing.set()
    with pytest.raises(InputError, match="was closed"):
        one.complete(NOTE)


def test_the_key_goes_into_the_header_and_proxies_are_not_asked(monkeypatch):
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:1")
    seen = lambda request: httpx.Response(200, json={"seen": request.headers.get("authorization")})  # noqa: E731
    assert wire(seen, key="abc").complete(NOTE) == {"seen": "Bearer abc"}
    assert wire(seen).complete(NOTE) == {"seen": None}
    assert not Wire(URL).client._mounts


def test_which_addresses_are_allowed():
    for local in ("http://127.0.0.1:8000/v1/", "https://localhost/v1", "http://[::1]:1/v1", "http://127.8.1.2/v1"):
        assert check_address(local, allow_remote=False) == local.rstrip("/")
    for far in (
        "http://10.0.0.7:8000/v1",
        "http://gpu/v1",
        "http://localhost.example.org/v1",
        "http://0x7f.1.example/v1",
    ):
        with pytest.raises(InputError, match="not on this machine"):
            check_address(far, allow_remote=False)
        assert check_address(far, allow_remote=True) == far
    for wrong in (
        "127.0.0.1:8000",
        "ftp://127.0.0.1",
        "http://",
        "http://[::1",
        "http://a:b",
        "http://127.0.0.1/v1?a=b",
    ):
        with pytest.raises(InputError, match="no address"):
            check_address(wrong, allow_remote=True)
    with pytest.raises(InputError, match="with a password in it") as caught:
        check_address("http://me:hush@127.0.0.1/v1", allow_remote=True)
    assert "hush" not in str(caught.value)


def test_answers_in_both_forms_of_log_probabilities():
    lists = {"tokens": [" a", "b"], "token_logprobs": [-1.0, None], "top_logprobs": [{" a": -1.0, "c": -2.0}, None]}
    said = parse({"choices": [{"text": " ab", "finish_reason": "length", "logprobs": lists}]}, where="x")
    assert (
        said.chances == (-1.0, None)
        and said.best == {" a": -1.0, "c": -2.0}
        and said.truncated
        and said.ids == (None, None)
    )
    content = [{"id": 7, "token": "a", "logprob": -1, "top_logprobs": [{"id": 7, "token": "a", "logprob": -1}]}]
    said = parse(
        {"choices": [{"text": "a", "logprobs": {"content": content}}], "usage": {"prompt_tokens": 3}}, where="x"
    )
    assert said.chances == (-1.0,) and said.ids == (7,) and said.best == {7: -1.0} and said.read == 3
    for wrong in ({}, {"choices": []}, {"choices": [{"text": None}]}, {"choices": [{"text": "a", "logprobs": 3}]}):
        with pytest.raises(InputError, match="does not answer as OpenAI's"):
            parse(wrong, where="x")
