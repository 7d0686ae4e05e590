from __future__ import annotations

import json
import stat
import zipfile
from io import BytesIO

import httpx
import pytest

from clinprompt.data.readers import brat
from clinprompt.serving.keys import add_key
from clinprompt.stages.corrections import Corrections
from tests.made_findings import correcting, finding
from tests.made_notes import CANARY

NOTE = f"Dr {CANARY} 😀 gave aspirin 5 mg.\r\nNo asthma."
DRUG, DOSE = [NOTE.index("aspirin"), NOTE.index("aspirin") + 7], [NOTE.index("5 mg"), NOTE.index("5 mg") + 4]


@pytest.fixture(scope="module")
def running(tmp_path_factory):
    folder = tmp_path_factory.mktemp("corrected")
    with correcting(folder) as (server, address):
        yield server, address, folder / "corrections"


def span(name, label, *fragments, **attributes):
    return {"id": name, "label": label, "fragments": list(fragments), "attributes": attributes}


def post(address, path="corrections", **body):
    return httpx.post(f"{address}/v1/{path}", json=body, timeout=30)


def test_a_correction_becomes_training_examples_that_only_their_owner_reads(running):
    server, address, folder = running
    right = {
        "note": NOTE,
        "task": "meds@2",
        "prompt": "meds@2",
        "spans": [span("T1", "drug", DRUG), span("T2", "dose", DOSE)],
    }
    kept = post(address, **right)
    assert kept.status_code == 201 and kept.json()["notes"] == 1
    post(address, **right | {"spans": right["spans"][:1]})  # the same note again takes its place
    task = server.prompts.snapshot.promoted["meds"].task
    [name] = Corrections(folder).ids(task.name)
    [example] = Corrections(folder).read(task.name, name).examples(task)
    assert example.note == NOTE and [s.surface(NOTE) for s in example.answer.spans] == ["aspirin"]
    file = folder / task.name / f"{name}.json"
    assert [stat.S_IMODE(path.stat().st_mode) for path in (file, file.parent, folder)] == [0o600, 0o700, 0o700]
    told = {one["task"]: one for one in httpx.get(f"{address}/v1/corrections").json()["data"]}
    assert told["meds"] == {"task": "meds", "promoted": "meds@1", "notes": 1, "unseen": 1, "replay": False,
                            "running": None}  # fmt: skip


def test_relations_attributes_and_answers_are_kept(running):
    server, address, folder = running
    ends = [span("a", "drug", DRUG), span("b", "dose", DOSE)]
    linked = {"spans": ends, "relations": [{"label": "dose", "head": "a", "tail": "b"}]}
    asserted = {"spans": [span("a", "condition", [NOTE.index("asthma"), NOTE.index("asthma") + 6], assertion="absent")]}
    for task, more in (("doses", linked), ("asserted", asserted), ("line", {"answer": {"text": "On aspirin."}})):
        assert post(address, note=NOTE, task=task, **more).status_code == 201, task
    made = {}
    for name in ("doses", "asserted", "line"):
        task = server.prompts.snapshot.promoted[name].task
        [one] = [Corrections(folder).read(task.name, known) for known in Corrections(folder).ids(task.name)]
        [made[name]] = one.examples(task)
    assert [link.label for link in made["doses"].answer.relations] == ["dose"]
    [asthma] = made["asserted"].answer.spans
    assert dict(asthma.attributes) == {"assertion": "absent", "temporality": "current", "experiencer": "patient"}
    assert made["line"].answer.text == "On aspirin."


SENT = "Canary1949"
"""A label, an id or a value that is really a word of the note."""


@pytest.mark.parametrize(
    ("change", "status", "place"),
    [
        ({"spans": [span(SENT, "drug", [3, 4000])]}, 422, "spans.0.fragments"),
        ({"spans": [span(SENT, "drug", [9, 3])]}, 422, "spans.0.fragments"),
        ({"spans": [span("T1", "drug", DRUG), span("T2", SENT, DRUG)]}, 422, "spans.1.label"),
        ({"spans": [span(SENT, "drug", DRUG), span(SENT, "dose", DOSE)]}, 422, "spans"),
        ({"relations": [{"label": SENT, "head": "T8", "tail": "T9"}]}, 422, "relations.0.label"),
        ({"task": "doses", "spans": [span("T1", "drug", DRUG)],
          "relations": [{"label": "dose", "head": "T1", "tail": SENT}]}, 422, "relations.0.tail"),
        ({"task": "doses", "spans": [span("T1", "drug", DRUG), span(SENT, "drug", DOSE)],
          "relations": [{"label": "dose", "head": "T1", "tail": SENT}]}, 422, None),
        ({"task": "asserted", "spans": [span(SENT, "condition", DRUG, assertion=SENT)]}, 422,
         "spans.0.attributes.assertion"),
        ({"task": "line", "answer": {"label": SENT}}, 422, "answer"),
        ({"task": "line", "spans": [span(SENT, "drug", DRUG)], "answer": {"text": "x"}}, 422, "spans"),
        ({"answer": {"text": SENT}}, 422, None),
        ({"inputs": {"hypothesis": SENT}}, 422, "inputs"),
        ({"task": "line", "inputs": {"options": SENT}, "answer": {"text": "x"}}, 422, None),
        ({"inputs": {SENT: "x"}}, 400, None),
        ({"prompt": "meds@7"}, 422, "prompt"),
        ({"prompt": SENT}, 422, "prompt"),
        ({"prompt": "doses@1"}, 422, "prompt"),
        ({"task": "nothing"}, 404, "model"),
        ({"task": "../meds"}, 400, "task"),
        ({"unknown": 1}, 400, "unknown"),
    ],
)  # fmt: skip
def test_what_cannot_be_learnt_is_refused_without_a_word_of_the_note(running, change, status, place):
    _, address, folder = running
    before = sorted(folder.rglob("*.json"))
    said = post(address, **{"note": NOTE, "task": "meds"} | change)
    assert said.status_code == status and said.json()["error"]["message"]
    assert place is None or said.json()["error"]["param"] == place
    assert CANARY not in said.text and "aspirin" not in said.text and SENT not in said.text
    assert sorted(folder.rglob("*.json")) == before


HALF = "Canary \ud800"
"""Half of a surrogate pair, which JSON may bring and no file can hold."""


@pytest.mark.parametrize(
    "change",
    [
        {"note": HALF}, {"patient": HALF}, {"task": "line", "answer": {"text": HALF}}, {"answer": {"label": HALF}},
        {"task": "line", "answer": {"text": "x"}, "inputs": {"question": HALF}}, {"inputs": {"options": ["x", HALF]}},
        {"spans": [span("T1", "drug", DRUG, assertion=HALF)]}, {"relations": [{"label": "x", "head": HALF, "tail": "x"}]},
    ],
)  # fmt: skip
def test_half_of_a_pair_is_refused_wherever_it_stands(running, change):
    _, address, folder = running
    before = sorted(folder.rglob("*.json"))
    content = json.dumps({"note": NOTE, "task": "meds"} | change)
    headers = {"content-type": "application/json"}
    said = httpx.post(f"{address}/v1/corrections", content=content, headers=headers, timeout=30)
    assert said.status_code == 400 and "Canary" not in said.text
    assert sorted(folder.rglob("*.json")) == before


def test_what_is_allowed_is_said(running):
    _, address, _ = running
    said = post(address, note=NOTE, task="meds", spans=[span("T1", "route", DRUG)]).json()["error"]
    assert said["message"] == "spans.0.label: the task has no such label; it has: drug, dose"
    said = post(address, note=NOTE, task="meds", prompt="meds@7").json()["error"]
    assert said["message"].startswith("the prompt that was corrected is no version of meds")


def test_a_server_keeps_nothing_unless_told(tmp_path):
    with correcting(tmp_path / "x") as (server, address):
        server.settings = server.settings.model_copy(update={"corrections": None})
        assert post(address, note=NOTE, task="meds").json()["error"]["code"] == "no_corrections"
        assert httpx.get(f"{address}/v1/corrections").json() == {"object": "list", "keeps": False, "data": []}
        assert post(address, "adaptations", task="meds").status_code == 404
    assert not (tmp_path / "x" / "corrections").exists()


def test_keys_open_their_own_tasks(tmp_path):
    key = add_key(tmp_path / "keys", "ann", tasks=("line",))
    with correcting(tmp_path, keys=tmp_path / "keys") as (_, address):
        shown = {"headers": {"Authorization": f"Bearer {key}"}, "timeout": 30}
        body = {"note": NOTE, "task": "meds", "spans": []}
        assert httpx.post(f"{address}/v1/corrections", json=body, **shown).status_code == 403
        told = httpx.get(f"{address}/v1/corrections", **shown).json()["data"]
        assert [one["task"] for one in told] == ["line"]
        assert httpx.post(f"{address}/v1/adaptations", json={"task": "line"}, **shown).status_code == 403
        assert httpx.get(f"{address}/v1/corrections").status_code == 401
        assert httpx.get(address).status_code == 200  # the page itself tells nothing


def test_findings_are_written_as_brat_and_fhir(running, tmp_path):
    _, address, _ = running
    found = finding("meds@1", NOTE, [("drug", DRUG), ("dose", DOSE)], [("dose", "T1", "T2")])
    line = finding("line@1", NOTE, kind="summarisation", answer={"text": "On aspirin."})
    answer = post(address, "export", format="brat", id="n1", note=NOTE, tasks=[found, line])
    assert answer.headers["x-left-out"] == "answers 1"
    with zipfile.ZipFile(BytesIO(answer.content)) as archive:
        archive.extractall(tmp_path)
    [document] = brat.read(tmp_path)
    assert document.text == NOTE and [s.surface(NOTE) for s in document.spans] == ["aspirin", "5 mg"]
    assert [(r.label, r.head, r.tail) for r in document.relations] == [("dose", "T1", "T2")]
    bundle = post(address, "export", format="fhir", id="n1", note=NOTE, tasks=[found]).json()
    kinds = [entry["resource"]["resourceType"] for entry in bundle["entry"]]
    assert kinds == ["DocumentReference", "MedicationStatement", "Provenance"]


def test_findings_of_another_note_are_refused(running):
    _, address, _ = running
    found = finding("meds@1", NOTE, [("drug", DRUG)])
    said = post(address, "export", format="brat", id="n1", note="x" + NOTE, tasks=[found])
    assert said.status_code == 422 and CANARY not in said.text
