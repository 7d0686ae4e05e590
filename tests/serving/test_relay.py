"""A gateway: the bank and the routes are here, the network is in another server that holds the checkpoint."""

import threading
import time

import httpx
import openai
import pytest

from clinprompt.backbones.protocol import Generation, RawAnswer
from clinprompt.inference.engines.unanswered import Cancelled, Closed, Expired
from clinprompt.serving.relay import Relay, _Telling
from clinprompt.serving.server import open_server
from clinprompt.serving.settings import ServeSettings
from clinprompt.stages.banked import add_prompts, open_bank
from clinprompt.stages.configs import DecodingSettings
from clinprompt.stages.engine_settings import EngineSettings
from tests.inference.engines.conftest import checkpoint, running, server, url  # noqa: F401 (fixtures)
from tests.made_servers import connected, served, wait_until
from tests.made_servers import running as answering

NOTE = "MEDICATIONS: aspirin 81 mg PO daily."


@pytest.fixture(scope="module")
def bank(checkpoint, tmp_path_factory):  # noqa: F811
    folder = tmp_path_factory.mktemp("bank") / "bank"
    add_prompts(open_bank(folder), checkpoint.files)
    return folder


@pytest.fixture
def gateway(bank, checkpoint, url):  # noqa: F811
    engine = EngineSettings(kind="openai", url=url, checkpoint=checkpoint.folder, retries=0, at_once=2)
    made = open_server(ServeSettings(bank=bank, engine=engine, answer_tokens=10, limits={"waiting": 1}))
    with answering(made) as address:
        yield made, address


def test_a_gateway_answers_as_a_server_with_the_network(gateway, bank, checkpoint, server):  # noqa: F811
    made, address = gateway
    assert set(made.prompts.snapshot.promoted) == {"medications", "impression", "lab-flag"}
    body = {"note": NOTE, "tasks": ["medications", "impression"]}
    with served(bank, checkpoint.opened, answer_tokens=10, decoding=DecodingSettings(grounded=False)) as (_, other):
        here, there = (httpx.post(f"{a}/v1/extract", json=body, timeout=60).json() for a in (other, address))
        plain = [httpx.post(f"{a}/v1/completions", json={"model": "impression", "prompt": NOTE}, timeout=60).json()
                 for a in (other, address)]  # fmt: skip
    assert here["usage"] == there["usage"] and plain[0]["choices"] == plain[1]["choices"]
    for mine, theirs in zip(here["results"][0]["tasks"], there["results"][0]["tasks"], strict=True):
        assert theirs.pop("provenance")["engine"] == "openai" and mine.pop("provenance")["engine"] == "local"
        assert mine.pop("score") == pytest.approx(theirs.pop("score"), abs=5e-3)  # another library
        assert mine == theirs
    with openai.OpenAI(base_url=f"{address}/v1", api_key="x", max_retries=0) as client:
        chunks = list(client.completions.create(model="impression", prompt=NOTE, stream=True))
        assert "".join(one.choices[0].text for one in chunks) == plain[1]["choices"][0]["text"]
        with pytest.raises(openai.BadRequestError, match="logprobs"):
            client.completions.create(model="impression", prompt=NOTE, logprobs=2)
        server.failures.extend([(503, {})] * 2)
        with pytest.raises(openai.InternalServerError) as caught:
            client.completions.create(model="impression", prompt=NOTE)
        assert caught.value.code == "engine_unavailable" and caught.value.status_code == 503


def test_a_stream_is_passed_on_as_it_comes(gateway, server):  # noqa: F811
    made, address = gateway
    server.pace = 0.05
    body = {"model": "impression", "prompt": NOTE}
    whole = httpx.post(f"{address}/v1/completions", json=body, timeout=60).json()
    with openai.OpenAI(base_url=f"{address}/v1", api_key="x", max_retries=0) as client:
        came, text, tokens = [], "", 0
        options = {"include_usage": True}
        for chunk in client.completions.create(model="impression", prompt=NOTE, stream=True, stream_options=options):
            came.append(time.monotonic())
            text += chunk.choices[0].text if chunk.choices else ""
            tokens = chunk.usage.completion_tokens if chunk.usage else tokens
    assert text == whole["choices"][0]["text"] and tokens == whole["usage"]["completion_tokens"] == 10
    assert len(came) > 4 and came[-1] - came[0] > 3 * server.pace  # not all of it at the end
    assert "clinprompt_time_to_first_token_seconds_count" in made.metrics.text().decode()


def test_an_answer_that_begins_like_a_stop_text_is_held_back(gateway, server):  # noqa: F811
    address = gateway[1]
    body = {"model": "impression", "prompt": NOTE, "max_tokens": 10}
    text = httpx.post(f"{address}/v1/completions", json=body, timeout=60).json()["choices"][0]["text"]
    stop = text[3:5]
    with openai.OpenAI(base_url=f"{address}/v1", api_key="x", max_retries=0) as client:
        chunks = list(client.completions.create(model="impression", prompt=NOTE, stream=True, stop=[stop]))
    assert "".join(one.choices[0].text for one in chunks) == text[: text.index(stop)]


@pytest.mark.parametrize("path", ["/v1/completions", "/v1/extract"])
def test_a_client_that_goes_away_ends_the_work_of_the_engine(gateway, server, path):  # noqa: F811
    made, address = gateway
    server.pace = 0.3
    body = {"model": "impression", "prompt": NOTE, "stream": True}
    body = body if path == "/v1/completions" else {"note": NOTE, "tasks": ["impression"]}
    with connected(address, path, body):
        wait_until(lambda: server.under_way == 1)
    assert wait_until(lambda: server.under_way == 0 and made.engine.running == 0) < 2.0  # all of it takes 3 s
    assert server.pieces < 9


def test_what_is_given_up_is_not_sent(gateway, server):  # noqa: F811
    relay, generation = gateway[0].engine, Generation(4)
    assert isinstance(relay, Relay)
    gone = threading.Event()
    gone.set()
    before = len(server.asked)
    with pytest.raises(Cancelled):
        relay.session(cancelled=gone).answers([None], generation)
    with pytest.raises(Expired):
        relay.session(deadline=time.monotonic() - 1).answers([None], generation)
    assert len(server.asked) == before


@pytest.mark.parametrize(
    ("stops", "came", "text", "told"),
    [
        ((), ["Foo", " bar"], "Foo bar", "Foo bar"),
        ((), ["Foo", " bar"], " Foo bar", "Foo bar"),  # a blank in front was left out of the stream
        ((), ["Foo", " bar"], "Foo<x> bar", "Foo bar"),  # a special token within it
        ((), [], "Foo", "Foo"),  # no stream at all
        (("END",), ["Foo E", "ND and more"], "Foo ", "Foo "),
        (("END",), ["Foo E", "N"], "Foo EN", "Foo EN"),
    ],
)
def test_the_end_of_a_stream_repeats_and_loses_nothing(stops, came, text, told):
    heard = []
    telling = _Telling(stops, heard.append)
    for piece in came:
        telling.go_on(piece)
    telling.end(RawAnswer(text, 2, False))
    assert "".join(one.text for one in heard) == told
    assert [one.done for one in heard] == [False] * (len(heard) - 1) + [True] and heard[-1].tokens == 2


def test_only_so_many_rows_wait(gateway):
    made, address = gateway
    relay, held = made.engine, threading.Event()
    inner = relay.engine.answers
    relay.engine.answers = lambda requests, generation, **more: held.wait(20) and inner(requests, generation, **more)
    body = {"model": "impression", "prompt": NOTE}
    answers = []
    threads = [
        threading.Thread(target=lambda: answers.append(httpx.post(f"{address}/v1/completions", json=body, timeout=60)))
        for _ in range(3)
    ]
    for thread in threads:
        thread.start()
    wait_until(lambda: relay.running == 2 and relay.waiting == 1)
    full = httpx.post(f"{address}/v1/completions", json=body, timeout=60)
    assert full.status_code == 503 and full.json()["error"]["code"] == "overloaded"
    held.set()
    for thread in threads:
        thread.join(60)
    assert [one.status_code for one in answers] == [200] * 3 and relay.running == relay.waiting == 0
    relay.close()
    with pytest.raises(Closed):
        relay.submit(None, Generation(4))
