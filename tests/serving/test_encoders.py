"""Encoders behind the same route: what many clients ask is read together, and each gets what it would get alone."""

import os
import re
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from unittest.mock import patch

import httpx
import openai
import pytest

from clinprompt.backbones.protocol import Placement
from clinprompt.backbones.tiny import write_tiny
from clinprompt.errors import InputError
from clinprompt.inference.engines.ticket import Terms
from clinprompt.inference.engines.unanswered import Cancelled, Closed, Full
from clinprompt.inference.long_notes import LongNotes
from clinprompt.inference.predictor import Question
from clinprompt.inference.reading import ReadingPredictor
from clinprompt.inference.reference import reference
from clinprompt.prompts.card import PromptCard
from clinprompt.prompts.prompt_file import SoftPrompt, save_prompt
from clinprompt.schema.example import Answer, Example
from clinprompt.serving import shared_reader
from clinprompt.serving.shared_reader import SharedReader
from clinprompt.stages.adapted import answering
from clinprompt.stages.banked import add_prompts, open_bank
from clinprompt.stages.configs import BackboneSettings, LongNoteSettings
from clinprompt.stages.opened import open_backbone
from clinprompt.stages.reading import planned_as_trained
from clinprompt.tasks.catalog import load_task
from tests.made_prompts import random_vectors
from tests.made_servers import connected, served, serving, wait_until
from tests.zygote import ended, zygote

NOTES = [f"Took drug{n} {n} mg daily.\nDenies chest pain." for n in range(4)]


@pytest.fixture(scope="module")
def encoder(tmp_path_factory):
    folder = write_tiny(tmp_path_factory.mktemp("encoder") / "bert", family="bert")
    return open_backbone(BackboneSettings(path=str(folder), head_width=8))


@pytest.fixture(scope="module")
def bank(encoder, tmp_path_factory):
    folder = tmp_path_factory.mktemp("bank")
    for seed, (name, task) in enumerate({"meds": "medications", "doses": "dose-of-drug", "sum": "impression"}.items()):
        vectors = random_vectors(encoder, length=3, seed=seed)
        heads = {key: tensor[0] for key, tensor in encoder.heads([seed]).items()}
        heads |= {
            "edges": heads["edges"] * 30,
            "edge_bias": heads["edge_bias"] * 0.1,
            "match_out_bias": heads["match_out_bias"] + 0.3,
        }  # finds some places
        card = PromptCard(
            name=name, method="prompt-tuning", placement="prefix", length=3, trainable=1, backbone=encoder.identity,
            template=encoder.template.name, template_hash=encoder.template.hash, task=load_task(task),
            reference=reference(encoder.backbone, vectors, Placement.prefix, heads),
        )  # fmt: skip
        save_prompt(folder / f"{name}.safetensors", SoftPrompt(vectors, card, heads))
        add_prompts(open_bank(folder / "bank"), [folder / f"{name}.safetensors"])
    return folder / "bank"


@pytest.fixture(scope="module")
def server(encoder, bank):
    with served(bank, encoder) as running:
        yield running


def test_findings_are_those_of_the_predictor_alone_however_many_ask(server, encoder):
    running, address = server
    snapshot = running.prompts.snapshot
    assert set(snapshot.promoted) == {"meds", "doses"} and "an encoder answers" in snapshot.faults["sum@1"]
    predictor = ReadingPredictor(encoder.backbone)

    def alone(note, name):
        found = snapshot.promoted[name]
        question = answering(found.prompt).question(
            Example("note", {"note": note}, Answer(), "note"), found.task, found.opened.template, name=name
        )
        notes = LongNotes(predictor)
        plan = planned_as_trained(notes, question, LongNoteSettings(), window=None, extent=None)
        return running.reader.call(lambda: notes.answers([plan]))[0]

    rounds = []
    inner = ReadingPredictor.predict

    def counted(self, questions, **more):
        rounds.append(len(questions))
        return inner(self, questions, **more)

    def ask(note):
        answer = httpx.post(f"{address}/v1/extract", json={"note": note, "tasks": ["meds", "doses"]}, timeout=60)
        assert answer.status_code == 200, answer.text
        return answer.json()

    with patch.object(ReadingPredictor, "predict", counted), ThreadPoolExecutor(8) as pool:
        found = list(pool.map(ask, NOTES * 3))
    assert sum(rounds) == 2 * len(found) and max(rounds) > 2  # some were read together
    spans = 0
    for note, told in zip(NOTES * 3, found, strict=True):
        for task in told["results"][0]["tasks"]:
            expected = alone(note, task["task"])
            spans += len(task["spans"])
            assert [(one["label"], one["fragments"]) for one in task["spans"]] == [
                (span.label, [list(place) for place in span.fragments]) for span in expected.answer.spans
            ]
            assert all(note[slice(*one["fragments"][0])] == one["text"] for one in task["spans"])
            assert all(0.5 <= one["score"] <= 1 for one in task["spans"] + task["relations"])
        assert told["usage"]["prompt_tokens"] > 0 == told["usage"]["completion_tokens"]
    assert spans


def test_an_encoder_writes_no_text(server):
    with openai.OpenAI(base_url=f"{server[1]}/v1", api_key="x", max_retries=0) as client:
        with pytest.raises(openai.BadRequestError, match="extract"):
            client.completions.create(model="meds", prompt="x")
        assert {one.id for one in client.models.list()} == {"meds", "doses"}


def asked(name):
    return Question(Example(name, {"note": name}, Answer(), "note"), load_task("medications"))


class Reader:
    """Stands in for a predictor; holds its first round until it may go on."""

    backbone = None

    def __init__(self):
        self.may = threading.Event()
        self.began = threading.Event()
        self.rounds = []

    def __enter__(self):
        return self

    def __exit__(self, *ended):
        self.may.set()

    def predict(self, questions, *, watch):
        self.began.set()
        self.may.wait(20)
        watch(0)
        names = [one.example.id for one in questions]
        self.rounds.append(names)
        if "bad" in names:
            raise InputError("this one does not fit")
        return [f"{one}!" for one in names]


def test_a_fault_and_a_client_that_goes_concern_nobody_else():
    inner = Reader()
    reader, gone = SharedReader(inner), threading.Event()
    with ThreadPoolExecutor(4) as pool, inner:
        first = pool.submit(reader.read, [asked("first")], Terms())
        assert inner.began.wait(20)
        others = [pool.submit(reader.read, [asked(one)], Terms(cancelled=gone) if one == "gone" else Terms())
                  for one in ("good", "bad", "gone")]  # fmt: skip
        wait_until(lambda: reader.waiting == 3)
        assert reader.running == 1
        gone.set()
        with pytest.raises(Cancelled):
            others[2].result(20)
        with pytest.raises(Cancelled):  # no windows are made for it either
            reader.for_request(Terms(cancelled=gone)).fits(asked("gone"))
        assert reader.waiting == 2
        inner.may.set()
        assert first.result(20)[0] == ["first!"] and others[0].result(20)[0] == ["good!"]
        with pytest.raises(InputError):
            others[1].result(20)
    assert sorted(inner.rounds[1]) == ["bad", "good"] and ["gone"] not in inner.rounds
    reader.close()


def test_a_short_request_does_not_wait_for_the_end_of_a_long_one(monkeypatch):
    monkeypatch.setattr(shared_reader, "PAUSE", 0.0)  # one question at a time
    inner = Reader()
    reader = SharedReader(inner, rows=2, waiting=3)
    with ThreadPoolExecutor(3) as pool, inner:
        long = pool.submit(reader.read, [asked(f"long{n}") for n in range(4)], Terms())
        assert inner.began.wait(20)
        assert reader.waiting == 2  # of three: a request has two at most in the line
        short = pool.submit(reader.read, [asked("short")], Terms())
        wait_until(lambda: reader.waiting == 3)
        with pytest.raises(Full):
            reader.read([asked("late")], Terms(time.monotonic() + 5))
        time.sleep(0.05)
        inner.may.set()
        assert long.result(20)[0] == [f"long{n}!" for n in range(4)]
        found, queued = short.result(20)
        assert found == ["short!"] and queued >= 0.05
    assert inner.rounds.index(["short"]) < inner.rounds.index(["long2"])
    reader.close()


def test_a_reader_that_is_closed_says_so_and_reads_no_further():
    inner = Reader()
    reader = SharedReader(inner)
    with ThreadPoolExecutor(3) as pool, inner:
        begun = pool.submit(reader.read, [asked("begun")], Terms())
        assert inner.began.wait(20)
        waits = [pool.submit(reader.read, [asked("waits")], Terms()), pool.submit(reader.call, lambda: None)]
        wait_until(lambda: reader.waiting == 1 and reader._thread._work_queue.qsize() == 1)
        reader.close()
        for one in (begun, *waits):
            with pytest.raises(Closed):
                one.result(20)
    for late in (lambda: reader.read([asked("late")], Terms()), lambda: reader.call(lambda: None)):
        with pytest.raises(Closed):
            late()
    reader._thread.shutdown()
    assert not inner.rounds  # what was begun was left where it was, since nobody waits for it


LONG = {"notes": [{"id": str(n), "text": NOTES[0] * 4} for n in range(64)], "tasks": ["meds", "doses"]}
"""A request that takes many seconds: scorers that have learned nothing find nearly all places."""


@contextmanager
def process(encoder, bank, path, *, seconds):
    """A server process with room for one waiting question, and a client."""
    limits = {"seconds": seconds, "drain": 0.5, "waiting": 1}
    words = [word for name, value in limits.items() for word in ("--set", f"limits.{name}={value}")]
    folder = encoder.backbone.model.name_or_path
    worker, address = serving(path, "--bank", str(bank), "-b", folder, "--port", "0", *words)
    with httpx.Client(base_url=address, timeout=60, trust_env=False) as client:
        yield worker, client
    if not ended(worker.pid):
        os.kill(worker.pid, signal.SIGTERM)
    assert zygote().wait(worker) == 0


def rows(client):
    """How many questions are read, and how many wait, as the gauges say."""
    told = client.get("/metrics").text
    return tuple(int(float(re.search(rf"^clinprompt_num_requests_{what} (\S+)$", told, re.MULTILINE)[1]))
                 for what in ("running", "waiting"))  # fmt: skip


def test_who_goes_away_frees_the_place_and_a_busy_server_says_so(encoder, bank, tmp_path):
    with process(encoder, bank, tmp_path / "server", seconds=300) as (worker, client):

        def second():
            with connected(str(client.base_url).rstrip("/"), "/v1/extract", LONG):
                wait_until(lambda: min(rows(client)) > 0)
                full = client.post("/v1/extract", json={"note": NOTES[0], "tasks": ["meds"]})
                assert full.status_code == 503 and full.json()["error"]["code"] == "overloaded"
            return wait_until(lambda: rows(client) == (0, 0))

        # Another program may have the processor just then: once in three times must do.
        assert any(second() < 1.0 for _ in range(3))
        assert client.post("/v1/extract", json={"note": NOTES[0], "tasks": ["meds"]}).status_code == 200

        found = []
        thread = threading.Thread(target=lambda: found.append(client.post("/v1/extract", json=LONG)))
        thread.start()
        wait_until(lambda: min(rows(client)) > 0)
        os.kill(worker.pid, signal.SIGTERM)
        thread.join(20)  # long before it could be answered
        assert found[0].status_code == 503 and found[0].json()["error"]["code"] == "stopping"


def test_what_takes_too_long_is_given_up(encoder, bank, tmp_path):
    with process(encoder, bank, tmp_path / "server", seconds=2) as (_, client):
        late = client.post("/v1/extract", json=LONG)
        assert late.status_code == 503 and late.json()["error"]["code"] == "timeout"
        assert int(late.headers["retry-after"]) >= 1
        wait_until(lambda: rows(client) == (0, 0))
