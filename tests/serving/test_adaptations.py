"""New versions from corrected notes: one at a time, told about, and nothing of the notes left behind."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import httpx
import pytest

from clinprompt.schema.example import Answer, Example, Split
from clinprompt.serving.adaptations import Adaptations
from clinprompt.stages.prepared import write_prepared
from tests.made_findings import correcting
from tests.made_servers import wait_until


@pytest.fixture(scope="module")
def running(tmp_path_factory):
    folder = tmp_path_factory.mktemp("adapted")
    with correcting(folder) as (server, address):
        yield server, address, folder / "corrections"


def post(address, **body):
    return httpx.post(f"{address}/v1/adaptations", json=body, timeout=30)


CHILD = """
import json, sys, time
folder = sys.argv[1]
open(folder + "/status.json", "w").write(json.dumps({"name": "score", "done": 1, "total": 4}))
time.sleep(float(sys.argv[2]))
print(json.dumps(json.loads(sys.argv[3])))
sys.exit(int(sys.argv[4]))
"""


def standing_in(monkeypatch, *, seconds=0.4, said, code=0):
    """A quick process in the place of `clinprompt renew`."""

    def command(self, folder):
        return [sys.executable, "-c", CHILD, str(folder), str(seconds), json.dumps(said), str(code)]

    monkeypatch.setattr(Adaptations, "command", command)


def ended(address, name):
    while (now := httpx.get(f"{address}/v1/adaptations/{name}").json())["state"] == "running":
        time.sleep(0.05)
    return now


def test_an_adaptation_tells_how_far_it_is_and_one_runs_at_a_time(running, monkeypatch):
    _, address, folder = running
    standing_in(monkeypatch, seconds=3.0, said={"prompt": "meds@3", "compared": None})
    begun = post(address, task="meds")
    assert begun.status_code == 202 and begun.json()["state"] == "running"
    told = {one["task"]: one["running"] for one in httpx.get(f"{address}/v1/corrections").json()["data"]}
    assert told["meds"] == begun.json()["id"] and told["line"] is None
    assert post(address, task="line").status_code == 409
    seen = set()
    while (now := httpx.get(f"{address}/v1/adaptations/{begun.json()['id']}").json())["state"] == "running":
        seen.add((now["step"], now["progress"]))
        time.sleep(0.02)
    assert ("Scoring", 0.25) in seen and now["result"]["prompt"] == "meds@3"
    assert not list((folder / ".work").iterdir())


def test_earlier_examples_are_practised_too_where_the_server_has_them(running, monkeypatch, tmp_path):
    server, address, _ = running
    asked = []
    told = {"prompt": "meds@3", "compared": None}
    standing_in(monkeypatch, said=told)
    own = Adaptations.command
    monkeypatch.setattr(Adaptations, "command", lambda self, folder: asked.append(
        json.loads((folder / "settings.yaml").read_text())["replay"]) or own(self, folder))  # fmt: skip
    without = server.settings
    refused = post(address, task="meds", replay=True)
    assert refused.status_code == 409 and refused.json()["error"]["code"] == "no_replay"
    task = server.prompts.snapshot.promoted["meds"].task
    write_prepared(
        tmp_path / task.name, task, [(Split.train, Example("e", {"note": "x"}, Answer(), "e"))], reader="made"
    )
    try:
        server.settings = without.model_copy(update={"replay": tmp_path})
        kept = {one["task"]: one["replay"] for one in httpx.get(f"{address}/v1/corrections").json()["data"]}
        assert kept["meds"] and not kept["line"]
        assert post(address, task="line", replay=True).status_code == 409
        for wanted in ({"replay": True}, {}):
            assert ended(address, post(address, task="meds@2", **wanted).json()["id"])["state"] == "done"
    finally:
        server.settings = without
    assert asked == [str(tmp_path / task.name), None]


def test_an_adaptation_that_fails_says_why(running, monkeypatch):
    _, address, _ = running
    standing_in(monkeypatch, said={"errors": [{"what": "there are no corrections of this task"}]}, code=2)
    now = ended(address, post(address, task="meds").json()["id"])
    assert (now["state"], now["error"]) == ("failed", "there are no corrections of this task")
    assert httpx.get(f"{address}/v1/adaptations/none").status_code == 404
    assert post(address, task="nothing").status_code == 404


def test_the_process_is_the_command_line_with_the_servers_own_settings(running, monkeypatch):
    server, _, folder = running
    asked = []
    monkeypatch.setattr("subprocess.Popen", lambda command, **options: asked.append(command) or _Running())
    adaptations = Adaptations(server)
    adaptations.start("meds@2")
    [command] = asked
    assert command[1:4] == ["-m", "clinprompt", "renew"] and "--json" in command
    settings = json.loads(Path(command[command.index("--config") + 1]).read_text())
    assert settings["name"] == "meds@2" and settings["backbone"] == server.settings.backbone.model_dump(mode="json")
    adaptations.close()
    assert not list((folder / ".work").iterdir())


LEAVING = """
import sys, time
from pathlib import Path
from clinprompt.data.lock import Lock
work = Path(sys.argv[1])
Lock(work.with_name(".medications.lock")).take()
(work / "data-1").mkdir(parents=True)
(work / "data-1" / "train.jsonl").write_text("Canary")
time.sleep(60)
"""


@pytest.mark.parametrize("way", ["closed", "killed"])
def test_no_copy_of_a_note_stays_behind(running, monkeypatch, way):
    server, _, folder = running
    work = folder / ".work" / "medications"
    command = [sys.executable, "-c", LEAVING, str(work)]
    monkeypatch.setattr(Adaptations, "command", lambda self, folder: command)
    adaptations = Adaptations(server)
    begun = adaptations.start("meds")
    wait_until(lambda: (work / "data-1" / "train.jsonl").exists(), seconds=60)
    Adaptations(server)  # another server that starts takes nothing away from it
    assert (work / "data-1" / "train.jsonl").exists() and adaptations.find(begun.id).state == "running"
    if way == "closed":
        adaptations.close()
    else:
        process = adaptations._jobs[begun.id].process
        process.kill()
        process.wait()
        assert adaptations.find(begun.id).state == "failed"
    assert not list((folder / ".work").iterdir())


def test_a_server_that_starts_removes_what_the_one_before_it_left(running):
    server, _, folder = running
    (folder / ".work" / "medications" / "data-1").mkdir(parents=True)
    Adaptations(server)
    assert not list((folder / ".work").iterdir())


class _Running:
    pid, code = 2**22 + 1, None

    def poll(self):
        return self.code

    def terminate(self):
        self.code = -15

    def wait(self, seconds=None):
        return self.code
