"""Encoders behind the same route: what many clients ask is read together, and each gets what it would get alone."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from unittest.mock import patch

import httpx
import openai
import pytest

from clinprompt.backbones.protocol import Placement
from clinprompt.backbones.tiny import write_tiny
from clinprompt.errors import InputError
from clinprompt.inference.engines.ticket import Terms
from clinprompt.inference.engines.unanswered import Cancelled, Expired
from clinprompt.inference.long_notes import LongNotes
from clinprompt.inference.reading import ReadingPredictor
from clinprompt.inference.reference import reference
from clinprompt.prompts.card import PromptCard
from clinprompt.prompts.prompt_file import SoftPrompt, save_prompt
from clinprompt.schema.example import Answer, Example
from clinprompt.serving.shared_reader import PORTION, SharedReader
from clinprompt.stages.adapted import answering
from clinprompt.stages.banked import add_prompts, open_bank
from clinprompt.stages.configs import BackboneSettings, LongNoteSettings
from clinprompt.stages.opened import open_backbone
from clinprompt.stages.reading import planned_as_trained
from clinprompt.tasks.catalog import load_task
from tests.made_prompts import random_vectors
from tests.made_servers import served

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


class Reader:
    """Stands in for a predictor; holds its first round until it may go on."""

    backbone = None

    def __init__(self):
        self.may = threading.Event()
        self.began = threading.Event()
        self.rounds = []

    def predict(self, questions):
        self.began.set()
        self.may.wait(20)
        self.rounds.append(list(questions))
        if "bad" in questions:
            raise InputError("this one does not fit")
        return [f"{one}!" for one in questions]


def test_a_fault_and_a_client_that_goes_concern_nobody_else():
    inner = Reader()
    reader, gone = SharedReader(inner), Terms()
    with ThreadPoolExecutor(4) as pool:
        first = pool.submit(reader.read, ["first"], Terms())
        assert inner.began.wait(20)
        others = [pool.submit(reader.read, [one], gone if one == "gone" else Terms())
                  for one in ("good", "bad", "gone")]  # fmt: skip
        while len(reader._waiting) < 3:
            pass
        gone.give_up()
        inner.may.set()
        assert first.result(20)[0] == ["first!"] and others[0].result(20)[0] == ["good!"]
        with pytest.raises(InputError):
            others[1].result(20)
        with pytest.raises(Cancelled):
            others[2].result(20)
    assert sorted(inner.rounds[1]) == ["bad", "good"] and ["gone"] not in inner.rounds
    reader.close()


def test_who_is_given_up_waits_no_longer_and_is_read_no_further():
    inner, terms = Reader(), Terms()
    reader = SharedReader(inner)
    asking = reader.for_request(terms)
    with ThreadPoolExecutor(1) as pool:
        job = pool.submit(asking.predict, ["a"] * (3 * PORTION))
        assert inner.began.wait(20) and asking.queued is None
        late = reader.for_request(Terms(deadline=time.monotonic() + 0.2))
        with pytest.raises(Expired):
            late.predict(["late"])
        terms.give_up()
        with pytest.raises(Cancelled):
            job.result(20)
        inner.may.set()
        assert reader.call(lambda: [len(one) for one in inner.rounds]) == [PORTION]
        inner.rounds.clear()
        whole = reader.for_request(Terms())
        assert whole.predict(["b"] * (2 * PORTION + 1)) == ["b!"] * (2 * PORTION + 1) and whole.queued < 20
        assert [len(one) for one in inner.rounds] == [PORTION, PORTION, 1]
    reader.close()
