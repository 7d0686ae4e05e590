"""Answers from a server: a real one with a bank of prompts, and one that is busy, gone or wrong."""

import json
import socket
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from unittest.mock import patch

import pytest

from clinprompt.data.readers import jsonl
from clinprompt.errors import InputError
from clinprompt.prompts.bank import PromptBank
from clinprompt.serving.process import Draining
from clinprompt.serving.server import open_server
from clinprompt.serving.settings import ServeSettings
from clinprompt.stages.batch import server_answers
from clinprompt.stages.batch.parts_folder import PartsFolder
from clinprompt.stages.configs import BackboneSettings, LongNoteSettings, PredictSettings
from clinprompt.stages.predict import predict
from tests.batch_runs import COUNT, batch_settings, note_text, write_lines

TASK = {"name": "meds", "kind": "entities", "codec": "entities", "labels": ["drug"], "relations": [],
        "about": [], "slots": ["note"], "attributes": {}, "instruction": "List."}  # fmt: skip


def server_settings(url, notes, out, prompts=("meds",), **more):
    given = {"shard": 3, "server": {"url": url, "patience": 0.3}} | more
    return PredictSettings(prompts=prompts, notes=notes, reader="jsonl", writer="jsonl", out=out, batch=given)


@contextmanager
def running(models, tiny, bank):
    """A server on a free port, with what is set so that it answers as a run in this process does."""
    settings = ServeSettings(backbone=BackboneSettings(path=str(models / "tiny")), bank=bank, port=0, answer_tokens=12)
    listener = socket.create_server((settings.host, 0))
    server = open_server(settings, opened=tiny)
    web = Draining(server)
    thread = threading.Thread(target=lambda: web.run(sockets=[listener]))
    thread.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        web.should_exit = True
        thread.join()
        server.close()
        listener.close()


@pytest.mark.filterwarnings("default::ResourceWarning")
def test_a_server_answers_as_a_run_in_this_process(models, tiny, notes, tmp_path):
    tasks = ("medications", "problem-mentioned")
    files = tuple(models / f"{task}.safetensors" for task in tasks)
    PromptBank(tmp_path / "bank").add(files)
    here = batch_settings(models, notes, tmp_path / "here.jsonl", answer_tokens=12)
    here = here.model_copy(update={"prompts": files, "mark_sections": True})
    local = predict(here, opened=tiny)
    with running(models, tiny, tmp_path / "bank") as url:
        there = server_settings(url, notes, tmp_path / "there.jsonl", tasks).model_copy(update={"mark_sections": True})
        remote = predict(there)
        with pytest.raises(InputError, match=r"404 .*prompts that the server has"):
            predict(server_settings(url, notes, tmp_path / "x.jsonl", ("medicines",)))
    one, two = (list(jsonl.read(out)) for out in (here.out, there.out))
    for ours, theirs in zip(one, two, strict=True):
        assert (ours.id, ours.text, ours.spans, ours.relations) == (
            theirs.id,
            theirs.text,
            theirs.spans,
            theirs.relations,
        )
        assert ours.metadata["answer problem-mentioned"] == theirs.metadata["answer problem-mentioned"]
    for name in ("notes", "windows", "characters", "spans", "relations", "answers", "decoding", "grounding"):
        assert getattr(local, name) == getattr(remote, name), name
    assert local.decoding.items > 0
    made = json.loads(two[0].metadata["provenance"])
    assert made["engine"] == "server" and made["backbone"] == json.loads(one[0].metadata["provenance"])["backbone"]
    assert [(prompt["prompt"], prompt["version"]) for prompt in made["prompts"]] == [(task, 1) for task in tasks]


def findings(text, *, prompt="meds@3"):
    """One drug at the beginning of every note."""
    start = text.index(":") + 2
    span = {"id": "T1", "label": "drug", "fragments": [[start, start + 4]], "text": text[start : start + 4],
            "attributes": {}, "ambiguous": False, "score": 0.5}  # fmt: skip
    report = {name: 0 for name in ("unreadable", "unlocated", "ambiguous", "truncated", "repeated")}
    return {"task": "meds@3", "prompt": prompt, "kind": "entities", "spans": [span], "relations": [], "answer": None,
            "score": 0.5, "report": {"items": 1, **report}, "windows": 1, "unit": "code points",
            "provenance": {"task": "meds", "grounding": "constrained", "backbone": "b"}}  # fmt: skip


@pytest.fixture
def fake():
    """Starts a server of which ``say(text, times)`` gives status, headers and body; ``times`` a note came before."""
    servers = []

    def start(say, *, version=3):
        seen, heard = {}, []

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def answer(self, status, more, body):
                content = json.dumps(body).encode()
                self.send_response(status)
                for name, value in {**more, "Content-Length": str(len(content))}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(content)

            def do_GET(self):
                heard.append(self.headers.get("Authorization"))
                self.answer(200, {}, {"id": "meds", "version": version, "task": TASK})

            def do_POST(self):
                asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                assert asked["tasks"] == ["meds@3"]
                text = asked["note"]
                seen[text] = seen.get(text, 0) + 1
                self.answer(*say(text, seen[text]))

            def log_message(self, *_):
                pass

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        servers.append(server)
        return f"http://127.0.0.1:{server.server_port}", seen, heard

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


def found(text, times=1):
    return 200, {}, {"object": "extraction", "results": [{"id": "note", "tasks": [findings(text)]}]}


def refusal(status, code, **headers):
    return status, headers, {"error": {"message": "Zyxwvutine", "type": "t", "param": None, "code": code}}


def test_a_busy_server_is_asked_again_and_notes_it_refuses_are_put_aside(notes, tmp_path, fake, monkeypatch):
    waited = []
    monkeypatch.setattr(server_answers.time, "sleep", waited.append)

    def say(text, times):
        if "Note 2:" in text and times <= 2:
            return refusal(429, "quota", **{"Retry-After": "7"})
        if "Note 4:" in text and times == 1:
            return refusal(503, "draining")
        if "Note 7:" in text:
            return refusal(422, "no_room")
        return found(text)

    url, seen, heard = fake(say)
    monkeypatch.setenv("CLINPROMPT_KEY", "secret")
    report = predict(server_settings(url, notes, tmp_path / "o.jsonl"))
    assert (report.notes, report.failed, report.spans) == (COUNT - 1, 1, COUNT - 1)
    assert waited == [7.0, 7.0, 0.5] or sorted(waited) == [0.5, 7.0, 7.0]
    assert sum(seen.values()) == COUNT + 3 and heard == ["Bearer secret"]
    [failed] = map(json.loads, report.dead_letters.read_text().splitlines())
    assert failed == {"id": "n7", "reason": "the server would not take the note: 422 no_room.", "place": 8}
    assert [document.id for document in jsonl.read(report.ledger.parent / "o.jsonl")] == [
        f"n{number}" for number in range(COUNT) if number != 7
    ]


def test_a_run_goes_on_when_the_server_is_back(notes, tmp_path, fake):
    gone = [True]

    def say(text, times):
        return refusal(403, "scope") if gone[0] and "Note 5:" in text else found(text)

    url, seen, _ = fake(say)
    settings = server_settings(url, notes, tmp_path / "o.jsonl")
    with pytest.raises(InputError, match=r"the server says 403 scope.*Give a key"):
        predict(settings)
    assert PartsFolder(settings.out).numbers() == [1]
    gone[0] = False
    seen.clear()
    report = predict(settings)
    assert report.notes == COUNT and set(seen) == {note_text(number) for number in range(3, COUNT)}


def test_a_server_that_is_not_there_or_is_none_is_told(notes, tmp_path, fake):
    with patch.object(server_answers, "_PAUSE", 0.05), pytest.raises(InputError, match="no server at this address"):
        predict(server_settings("http://127.0.0.1:9", notes, tmp_path / "o"))
    with pytest.raises(InputError, match="no address of a server"):
        predict(server_settings("ftp://x", notes, tmp_path / "o"))
    with pytest.raises(InputError, match="not on this machine, and notes would leave it"):
        predict(server_settings("http://nlp.example.org", notes, tmp_path / "o"))
    url, *_ = fake(lambda text, times: (200, {}, {"results": []}))
    with pytest.raises(InputError, match="no clinprompt server"):
        predict(server_settings(url, notes, tmp_path / "o"))
    settings = server_settings(url, notes, tmp_path / "o", server={"url": url, "key": tmp_path / "none"})
    with pytest.raises(InputError, match="the key cannot be read"):
        predict(settings)
    assert list(tmp_path.iterdir()) == [notes]


def test_wrong_places_and_other_versions_are_refused(notes, tmp_path, fake):
    def moved(text, times):
        status, more, body = found(text)
        if "Note 3:" in text:
            body["results"][0]["tasks"][0]["spans"][0]["fragments"] = [[0, 4]]
        return status, more, body

    url, *_ = fake(moved)
    report = predict(server_settings(url, notes, tmp_path / "o.jsonl"))
    assert report.failed == 1 and "not in the note at its place" in report.dead_letters.read_text()
    url, *_ = fake(lambda text, times: (200, {}, {"results": [{"tasks": [findings(text, prompt="meds@4")]}]}))
    with pytest.raises(InputError, match="other versions than it began with"):
        predict(server_settings(url, notes, tmp_path / "p.jsonl"))


def test_what_a_server_decides_itself_cannot_be_set(tmp_path):
    notes = write_lines(tmp_path / "n.jsonl", 1)
    settings = server_settings("http://127.0.0.1:9", notes, tmp_path / "o", processes=2)
    with pytest.raises(InputError, match=r"batch\.processes cannot be set for a server"):
        predict(settings)
    settings = PredictSettings(
        **{**settings.model_dump(exclude_unset=True), "window": 80, "batch": {"server": {"url": "http://x"}}}
    )
    with pytest.raises(InputError, match="window cannot be set for a server"):
        predict(settings.model_copy(update={"long_notes": LongNoteSettings()}))
