"""Answers that come piece by piece: what is heard, what the pieces make together, and what a broken stream says."""

from __future__ import annotations

import json
import socket
import threading
import time

import httpx
import pytest

from clinprompt.backbones.protocol import Generation
from clinprompt.errors import InputError
from clinprompt.inference.engines import wire as module
from clinprompt.inference.engines.open_line import joined, pieces
from clinprompt.inference.engines.ticket import Terms
from clinprompt.inference.engines.unanswered import Cancelled, Expired
from clinprompt.inference.engines.wire import Wire
from tests.inference.engines.test_openai import both, questions
from tests.made_servers import wait_until

URL = "http://127.0.0.1:9/v1"


def stream(*told, end="data: [DONE]\n\n"):
    body = "".join(f"data: {json.dumps(one)}\n\n" for one in told) + end
    return httpx.Response(200, text=body, headers={"content-type": "text/event-stream; charset=utf-8"})


def piece(text, reason=None, **more):
    return {"choices": [{"text": text, "finish_reason": reason, **more}]}


def asked(answer, heard=lambda piece: None, *, retries=0):
    given = list(answer) if isinstance(answer, list) else [answer]

    def give(request):
        one = given.pop(0) if len(given) > 1 else given[0]
        if isinstance(one, Exception):
            raise one
        return one(request) if callable(one) else one

    wire = Wire(URL, transport=httpx.MockTransport(give), retries=retries)
    return wire.several([{"prompt": "x"}], terms=Terms(), heard=heard)


def test_pieces_make_the_answer_that_would_have_come_in_one():
    told = {"tokens": ["a"], "token_logprobs": [-0.5], "top_logprobs": [{"a": -0.5}]}
    more = {"tokens": ["b"], "token_logprobs": [-1.0], "top_logprobs": [{"b": -1.0}]}
    heard = []
    usage = {"choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 2}}
    [made] = asked(stream(piece("a", logprobs=told), piece("b", "stop", logprobs=more), usage), heard.append)
    both = {name: told[name] + more[name] for name in told}
    assert made == {
        "choices": [{"text": "ab", "finish_reason": "stop", "logprobs": both}], "usage": usage["usage"],
    }  # fmt: skip
    assert len(heard) == 3


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (stream(piece("Canary")), "gone away within an answer"),
        (stream(piece("a"), {"error": {"message": "Canary"}}), "failed within an answer"),
        (stream(piece("a"), [1]), "does not stream"),
        (stream({"choices": ["Canary"]}), "does not stream"),
        (stream(end="data: {Canary\n\n"), "does not stream"),
        (httpx.Response(500, json={"error": {"message": "Canary"}}), "HTTP 500"),
    ],
)
def test_a_broken_stream_is_told_without_its_words(answer, words):
    with pytest.raises(InputError, match=words) as caught:
        asked(answer)
    assert "Canary" not in str(caught.value)


class Breaking(httpx.SyncByteStream):
    """A body whose connection breaks after these pieces."""

    def __init__(self, *told):
        self.told = told

    def __iter__(self):
        for one in self.told:
            yield f"data: {json.dumps(one)}\n\n".encode()
        raise httpx.ReadError("Canary")


def breaking(*told):
    return httpx.Response(200, stream=Breaking(*told), headers={"content-type": "text/event-stream"})


def test_a_stream_that_breaks_before_its_first_words_is_asked_for_again(monkeypatch):
    monkeypatch.setattr(module, "FIRST_PAUSE", 0.001)
    good = stream(piece("ok", "stop"))
    for broken in (breaking(), breaking(piece("")), stream(), stream({"choices": []}, end="")):
        heard = []
        [made] = asked([broken, good], heard.append, retries=1)
        assert made["choices"][0]["text"] == "ok" and heard == [piece("ok", "stop")]
    with pytest.raises(InputError, match="gone away"):  # as often as anything else
        asked([breaking(), breaking(), good], retries=1)
    [made] = asked([httpx.ConnectError("x"), breaking(), good], retries=2)
    assert made["choices"][0]["text"] == "ok"


def test_a_stream_that_breaks_later_is_not(monkeypatch):
    monkeypatch.setattr(module, "FIRST_PAUSE", 0.001)
    heard = []
    with pytest.raises(InputError, match="gone away") as caught:
        asked([breaking(piece("a")), stream(piece("ok", "stop"))], heard.append, retries=3)
    assert heard == [piece("a")] and "Canary" not in str(caught.value)


def test_an_empty_answer_is_one():
    [made] = asked(stream(piece("", "stop")))
    assert made["choices"][0] == {"text": "", "finish_reason": "stop", "logprobs": None}


def test_a_server_that_says_nothing_loses_the_connection_at_once():
    """Not even headers: as an engine whose queue is long."""
    gone, came, left = threading.Event(), threading.Event(), threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def silent():
            connection, _ = listener.accept()
            with connection:
                connection.settimeout(20)
                while connection.recv(65536):
                    came.set()
                left.set()

        threading.Thread(target=silent, daemon=True).start()
        wire = Wire(f"http://127.0.0.1:{listener.getsockname()[1]}/v1", retries=0)
        raised = []

        def ask():
            try:
                wire.several([{"prompt": "x"}], terms=Terms(None, gone), heard=lambda piece: None)
            except Cancelled as reason:
                raised.append(reason)

        thread = threading.Thread(target=ask)
        thread.start()
        assert came.wait(10)
        gone.set()
        assert left.wait(5)
        thread.join(5)
        assert raised


def test_a_server_that_knows_no_streams_is_asked_for_the_whole():
    sent = []

    def answer(request):
        sent.append(json.loads(request.content))
        if sent[-1].get("stream"):
            return httpx.Response(422, json={"error": {"message": "no"}})
        return httpx.Response(200, json=piece("ok", "stop"))

    wire = Wire(URL, transport=httpx.MockTransport(answer))
    for _ in range(2):
        [made] = wire.several([{"prompt": "x"}], terms=Terms(), heard=lambda piece: None)
        assert made["choices"][0]["text"] == "ok"
    assert ["stream" in one for one in sent] == [True, False, False]
    # One that pays no heed to it answers as always.
    [made] = asked(httpx.Response(200, json=piece("ok", "stop")))
    assert made["choices"][0]["text"] == "ok"


def test_what_is_cut_is_not_sent_again_and_shares_no_connection():
    gone, sent = threading.Event(), []

    def answer(request):
        sent.append(request.headers["connection"])
        gone.set()
        return httpx.Response(503, headers={"retry-after": "0.3"})

    wire = Wire(URL, transport=httpx.MockTransport(answer))
    with pytest.raises(Cancelled):
        wire.several([{"prompt": "x"}], terms=Terms(None, gone), heard=lambda piece: None)
    time.sleep(0.6)
    assert sent == ["close"]


def test_scores_are_waited_for_no_longer_than_they_are_wanted(checkpoint, server, url):
    _, theirs = both(checkpoint, url)
    request = theirs.request(questions(checkpoint)[0])
    [known] = theirs.engine.likelihoods([request], [["a", "b"]], terms=Terms())
    assert known == pytest.approx(theirs.engine.likelihoods([request], [["a", "b"]])[0])
    server.delay, begun = 1.0, time.monotonic()
    with pytest.raises(Expired):
        theirs.engine.likelihoods([request], [["a", "b"]], terms=Terms(begun + 0.2))
    assert time.monotonic() - begun < 0.9
    wait_until(lambda: server.under_way == 0)


def test_comments_and_other_fields_of_events_are_passed_over():
    lines = [": ping", "event: x", "", 'data:{"choices": []}', "data: [DONE]", "data: {}"]
    assert list(pieces(lines, where=URL)) == [{"choices": []}]
    with pytest.raises(InputError):
        joined([{"choices": []}], where=URL)


def test_streamed_answers_are_those_in_one_piece(checkpoint, server, url):
    _, theirs = both(checkpoint, url)
    requests = [theirs.request(one) for one in questions(checkpoint)]
    generation = Generation(12)
    engine = theirs.engine
    whole = engine.answers(requests, generation)
    assert engine.answers(requests, generation, terms=Terms()) == whole and server.pieces > len(requests)
    heard = []
    [alone] = engine.answers(requests[:1], generation, terms=Terms(), heard=heard.append)
    assert "".join(heard) == alone.text == whole[0].text and len(heard) > 3
    server.streams = False
    assert engine.answers(requests, generation, terms=Terms()) == whole


@pytest.mark.parametrize("reason", [Cancelled, Expired])
def test_the_server_stops_within_a_second_when_nobody_wants_the_answer(checkpoint, server, url, reason):
    _, theirs = both(checkpoint, url)
    requests = [theirs.request(one) for one in questions(checkpoint)[:2]]
    server.pace = 0.2
    gone = threading.Event()
    terms = Terms(time.monotonic() + 1.0, None) if reason is Expired else Terms(None, gone)
    raised = []

    def ask():
        try:
            theirs.engine.answers(requests, Generation(60), terms=terms)
        except BaseException as error:
            raised.append(error)

    thread = threading.Thread(target=ask)
    thread.start()
    wait_until(lambda: server.under_way == 2)
    gone.set()
    assert wait_until(lambda: server.under_way == 0) < (2.0 if reason is Cancelled else 3.0)
    thread.join(5)
    assert [type(one) for one in raised] == [reason] and server.pieces < 60
