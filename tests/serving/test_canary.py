"""No word of a note leaves a server but in its answer: a canary on every route and in every wrong place of a request."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from urllib.parse import quote

import httpx
import pytest

from clinprompt.prompts.bank import PromptBank
from clinprompt.serving.audit_check import verify
from clinprompt.serving.keys import add_key
from clinprompt.stages.configs import BackboneSettings
from clinprompt.stages.opened import open_backbone
from tests.made_backbones import tiny_folder
from tests.made_notes import CANARY
from tests.made_prompts import write_random_prompt

REPOSITORY = Path(__file__).parents[2]

NOTE = f"Seen by Dr {CANARY}.\r\nTook aspirin 5 mg.\n"
FAULT = f"FAULT {NOTE}"
HOLDS_CANARY = re.compile(CANARY, re.IGNORECASE)

# The server as a user starts it, but that a note which begins with FAULT makes it fail with the note in the message.
START = """
import os, sys
import clinprompt.serving.extract as route
import clinprompt.serving.writing as writing
from clinprompt.cli.main import run

def failing(inner, note_of):
    def call(*arguments, **options):
        note = note_of(arguments)
        if note.startswith("FAULT"):
            try:
                {}[note]
            except KeyError as error:
                raise ValueError(note) from error
        return inner(*arguments, **options)
    return call

route.extract = failing(route.extract, lambda arguments: arguments[1][0].text)
writing.example_of = failing(writing.example_of, lambda arguments: arguments[2])
run(sys.argv[1:])
"""


class Served:
    """A running server, its place, and all that it answered."""

    def __init__(self, place: Path, process: subprocess.Popen, address: str, keys: dict[str, str]) -> None:
        self.place, self.process, self.address, self.keys = place, process, address, keys
        self.answers: list[httpx.Response] = []
        self.client = httpx.Client(base_url=address, timeout=60, trust_env=False)

    def ask(self, method: str, path: str, *, key: str = "ann", headers=None, **options) -> httpx.Response:
        sent = {"authorization": f"Bearer {self.keys[key]}"} if key else {}
        answer = self.client.request(method, path, headers=sent | (headers or {}), **options)
        self.answers.append(answer)
        return answer

    def raw(self, content: bytes) -> bytes:
        """What the server says to these bytes of a connection that is then closed."""
        host, port = self.address.removeprefix("http://").split(":")
        with socket.create_connection((host, int(port)), timeout=10) as connection:
            connection.sendall(content)
            connection.shutdown(socket.SHUT_WR)
            got = b""
            while chunk := connection.recv(65536):
                got += chunk
        return got


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    place = tmp_path_factory.mktemp("canary")
    (place / "tmp").mkdir()
    tiny_folder(place / "tiny")
    opened = open_backbone(BackboneSettings(path=str(place / "tiny")))
    tasks = {"medications": "suffix", "impression": "prefix"}
    PromptBank(place / "bank").add(
        [write_random_prompt(place / f"{t}.safetensors", opened, task=t, placement=p) for t, p in tasks.items()]
    )
    (place / "inbox").mkdir()
    keys = {
        "ann": add_key(place / "keys.json", "ann", admin=True),
        "meds": add_key(place / "keys.json", "meds", tasks=("medications",)),
        "poor": add_key(place / "keys.json", "poor", requests=1),
    }
    words = "serve --bank bank -b tiny --port 0 --keys keys.json --audit audit.jsonl --inbox inbox --answer-tokens 6"
    with (place / "out.txt").open("wb") as out, (place / "err.txt").open("wb") as err:
        process = subprocess.Popen(
            [sys.executable, "-c", START, *words.split(), "--set", "limits.body=20000", "--json"],
            cwd=place, stdout=out, stderr=err, env={**os.environ, "TMPDIR": str(place / "tmp"), "PYTHONPATH": str(REPOSITORY / "src")},
        )  # fmt: skip
    until = time.monotonic() + 120
    while not (said := (place / "out.txt").read_text()).endswith("\n"):
        assert process.poll() is None and time.monotonic() < until, (place / "err.txt").read_text()
        time.sleep(0.05)
    running = Served(place, process, json.loads(said)["address"], keys)
    yield running
    running.client.close()
    process.kill()
    process.wait()


def test_no_word_of_a_note_leaves_a_server_but_in_its_answer(served):
    seen: list[str] = []
    watching = threading.Event()

    def watch():
        """What every user of the machine may see of the process while it works."""
        while not watching.wait(0.02):
            process = Path(f"/proc/{served.process.pid}")
            for file in (process / "cmdline", *process.glob("task/*/comm")):
                try:
                    seen.append(file.read_text())
                except OSError:
                    continue
            seen.extend(path.name for path in (served.place / "tmp").rglob("*"))

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        _answered(served)
        _refused(served)
        _failed(served)
        _broken_off(served)
    finally:
        watching.set()
        watcher.join()
    figures = [served.client.get(path).text for path in ("/metrics", "/healthz", "/readyz", "/openapi.json")]
    served.process.send_signal(signal.SIGTERM)
    assert served.process.wait(30) == 0

    for answer in served.answers:
        told = "\n".join(f"{name}: {value}" for name, value in answer.headers.items())
        if answer.status_code >= 400:
            told += answer.text
        else:  # a stream that failed after it began
            told += "\n".join(line for line in answer.text.splitlines() if '"error"' in line)
        assert not HOLDS_CANARY.search(told), (answer.request.method, answer.request.url.path, answer.status_code)
    assert not any(HOLDS_CANARY.search(text) for text in (*figures, *seen))
    files = [path for path in served.place.rglob("*") if path.is_file()]
    assert {"out.txt", "err.txt", "audit.jsonl"} <= {path.name for path in files}
    assert [path.name for path in files if HOLDS_CANARY.search(path.read_bytes().decode("latin-1"))] == []
    assert list((served.place / "tmp").rglob("*")) == []

    # The requests were really those that the names of the cases say, and all of them are on record.
    statuses = {answer.status_code for answer in served.answers}
    assert statuses >= {200, 400, 401, 403, 404, 405, 413, 421, 422, 429, 500}
    audited = verify(served.place / "audit.jsonl")
    assert audited.faults == () and audited.unclosed == ()
    records = [json.loads(line) for line in (served.place / "audit.jsonl").read_text().splitlines()]
    assert {"/v1/extract", "/v1/completions", "/v1/chat/completions"} <= {one.get("route") for one in records}
    assert sum(one.get("characters", 0) for one in records) > 10 * len(NOTE)
    assert "clinprompt_tasks_total" in figures[0] and 'task="medications"' in figures[0]
    # A fault is told by its place, so that it can be mended.
    assert "ValueError" in (served.place / "err.txt").read_text()


def _answered(served):
    extract = {"note": NOTE, "tasks": ["medications", "impression@1"]}
    assert served.ask("POST", "/v1/extract", json=extract).status_code == 200
    named = {"notes": [{"id": NOTE, "text": NOTE}, {"id": "b", "text": NOTE * 3}], "tasks": ["medications"]}
    assert served.ask("POST", "/v1/extract", json=named, key="meds").status_code == 200
    for stream in (False, True):
        more = {"stream": stream, "user": NOTE, "metadata": {NOTE: NOTE}, "stop": [CANARY]}
        body = {"model": "medications", "prompt": NOTE, **more, "logprobs": 3}
        assert served.ask("POST", "/v1/completions", json=body).status_code == 200
        chat = {"model": "impression", "messages": [{"role": "user", "content": NOTE, "name": CANARY}], **more}
        assert served.ask("POST", "/v1/chat/completions", json=chat).status_code == 200
    for path in ("/v1/models", "/v1/models/medications", "/v1/prompts"):
        assert served.ask("GET", f"{path}?note={quote(NOTE)}", headers={"x-note": CANARY}).status_code == 200


def _refused(served):
    """The note in each place where it does not belong, and refusals of requests that have it in its place."""
    good = {
        "/v1/extract": {"note": NOTE, "tasks": ["medications"]},
        "/v1/completions": {"model": "medications", "prompt": NOTE},
        "/v1/chat/completions": {"model": "medications", "messages": [{"role": "user", "content": NOTE}]},
    }
    chat = "/v1/chat/completions"
    wrong = [
        *((path, body | {NOTE: 1}) for path, body in good.items()),
        *((path, body | {"model": NOTE, "tasks": [NOTE]}) for path, body in good.items()),
        *((path, NOTE) for path in good),
        *((path, [NOTE]) for path in good),
        ("/v1/extract", {"note": [NOTE], "tasks": ["medications"]}),
        ("/v1/extract", {"note": NOTE, "tasks": NOTE}),
        ("/v1/extract", {"note": NOTE, "notes": [{"id": NOTE, "text": NOTE}], "tasks": ["medications"]}),
        ("/v1/extract", {"notes": [{"id": NOTE, "text": NOTE}] * 2, "tasks": ["medications"]}),
        ("/v1/extract", {"note": NOTE, "tasks": ["medications"], "questions": {NOTE: {NOTE: NOTE}}}),
        ("/v1/extract", {"note": NOTE, "tasks": ["medications"], "questions": {"medications": {"question": NOTE}}}),
        ("/v1/extract", {"note": NOTE, "tasks": ["absent"]}),
        ("/v1/completions", {"model": "medications", "prompt": [NOTE, {"x": NOTE}]}),
        ("/v1/completions", {"model": "medications", "prompt": NOTE, "max_tokens": NOTE, "temperature": NOTE}),
        ("/v1/completions", {"model": "medications", "prompt": NOTE, "stop": [NOTE] * 9, "suffix": NOTE}),
        ("/v1/completions", {"model": "medications", "prompt": NOTE, "inputs": {"options": [NOTE]}}),
        ("/v1/completions", {"model": "medications", "prompt": NOTE, "logit_bias": {NOTE: 1}}),
        ("/v1/completions", {"model": "medications", "prompt": NOTE, "max_tokens": 10**6}),
        (chat, {"model": "medications", "messages": NOTE}),
        (chat, {"model": "medications", "messages": [{"role": NOTE, "content": NOTE}]}),
        (chat, {"model": "medications", "messages": [{"role": "system", "content": NOTE}]}),
        (chat, {"model": "medications", "messages": [{"role": "user", "content": [{"type": NOTE, "text": NOTE}]}]}),
        (chat, {"model": "medications", "messages": [{"role": "user", "content": NOTE}], "tools": [{NOTE: NOTE}]}),
        (chat, {"model": "medications", "messages": [{"role": "user", "content": NOTE}], "response_format": NOTE}),
        ("/v1/prompts", {"path": NOTE}),
        ("/v1/prompts", {"path": "x", "name": NOTE}),
    ]
    for path, body in wrong:
        assert served.ask("POST", path, json=body).status_code in (200, 400, 403, 404, 413, 422), body
    for path, body in good.items():
        for key, headers in (("", None), ("", {"authorization": f"Bearer {NOTE.strip()!r}"}), ("ann", {"host": CANARY}),
                             ("ann", {"origin": f"http://{CANARY}"})):  # fmt: skip
            assert served.ask("POST", path, json=body, key=key, headers=headers).status_code in (401, 403, 421)
        text = json.dumps(body)
        for content in (text[:-1], text.encode() + b"\xff", text.replace("Took", "\\ud800").encode() + b"]", NOTE):
            assert served.ask("POST", path, content=content, headers=JSON).status_code == 400
        assert served.ask("POST", path, content=text.replace("Took", "\\ud800"), headers=JSON).status_code == 400
        assert served.ask("POST", path, content=text.replace("Took", "\\u0000"), headers=JSON).status_code == 200
        assert served.ask("POST", path, content=text, headers={"content-type": CANARY}).status_code == 400
        assert served.ask("POST", path, content=text.replace(CANARY, CANARY * 5000), headers=JSON).status_code == 413
        assert served.ask("PUT", path, json=body).status_code == 405
    assert served.ask("POST", chat, json=good[chat] | {"model": "impression"}, key="meds").status_code == 403
    assert [served.ask("POST", chat, json=good[chat], key="poor").status_code for _ in range(2)] == [200, 429]
    long = {"model": "impression", "prompt": NOTE * 200}
    assert served.ask("POST", "/v1/completions", json=long).status_code == 422
    for method, path in (("GET", "/v1/models/"), ("DELETE", "/v1/prompts/"), ("GET", "/"), ("POST", "/v1/"),
                         ("POST", "/v1/prompts/medications/")):  # fmt: skip
        assert served.ask(method, path + quote(NOTE, safe="")).status_code in (400, 404, 405, 422)
    assert served.ask("POST", f"/v1/prompts/{quote(NOTE, safe='')}/promote").status_code in (400, 404, 422)


JSON = {"content-type": "application/json"}


def _failed(served):
    """Faults of the server itself, with the note in the message of what is raised."""
    assert served.ask("POST", "/v1/extract", json={"note": FAULT, "tasks": ["medications"]}).status_code == 500
    for stream in (False, True):
        body = {"model": "medications", "prompt": FAULT, "stream": stream}
        assert served.ask("POST", "/v1/completions", json=body).status_code == 500


def _broken_off(served):
    """Clients that go away in the middle of a body or of an answer, and lines that are no HTTP."""
    body = json.dumps({"model": "medications", "prompt": NOTE, "max_tokens": 500, "stream": True}).encode()
    head = (
        f"POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {served.keys['ann']}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    ).encode()
    served.raw(head + body[:-20])
    served.raw(head + body)
    for line in (f"{CANARY} / HTTP/1.1\r\n\r\n", f"GET /{CANARY} {CANARY}\r\n\r\n", f"{CANARY}\r\n\r\n",
                 f"GET / HTTP/1.1\r\nHost: localhost\r\n{NOTE}\r\n\r\n"):  # fmt: skip
        assert CANARY.encode() not in served.raw(line.encode())
    assert served.ask("GET", "/v1/models").status_code == 200
