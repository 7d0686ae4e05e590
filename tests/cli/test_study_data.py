"""A study of one's own notes: whose results they are, when the data, the task or the backbone becomes another one."""

from __future__ import annotations

import csv
import json
import shutil

import pytest
from safetensors.torch import load_file, save_file

from tests.made_backbones import tiny_folder
from tests.made_notes import note, write_notes

TASK = """
name: my-meds
kind: entities
codec: entities
instruction: "list every medicine."
labels: [Drug, Dose]
verbalizer: {Drug: drug, Dose: dose}
metrics: [span-f1]
data: {reader: brat, root: notes, window: 600, parts: {all: {path: .}}, split: {dev: 0.2, test: 0.4}}
"""
STUDY = """
name: own
backbones: {tiny: {path: backbone}}
tasks: {targets: [TARGET]}
limits: {test: 2}
methods: {instruction: {kind: instruction}}
score: {answer_tokens: 2, likelihood: false, resamples: 100}
leakage: {notes: 1}
"""


@pytest.fixture
def study(tmp_path, monkeypatch, clinprompt):
    """Runs a command of `clinprompt study` in a folder with notes, a task file and a backbone."""
    monkeypatch.chdir(tmp_path)
    write_notes(tmp_path / "notes")
    tiny_folder(tmp_path / "backbone", context=4096)
    (tmp_path / "my-meds.yaml").write_text(TASK)
    (tmp_path / "study.yaml").write_text(STUDY.replace("TARGET", "my-meds.yaml"))

    def call(command, *sets, code=0):
        options = [word for text in sets for word in ("--set", text)]
        ended = clinprompt("study", command, "study.yaml", "--out", "out", *options, "--json")
        assert ended.code == code, ended.err
        return json.loads(ended.out) if code in (0, 3) else " ".join(ended.err.split())

    return call


def records(folder):
    return {path.name: json.loads(path.read_text()) for path in (folder / "out" / "gangs").glob("*.json")}


def scores(folder):
    with (folder / "out" / "results.csv").open(newline="") as stream:
        return [(row["target"], row["method"], row["n"]) for row in csv.DictReader(stream)]


def other_notes(folder):
    text, annotations = note(3, word="Abcdefgh")
    for number in range(12):
        (folder / "notes" / f"n{number}.txt").write_bytes(text.encode())
        (folder / "notes" / f"n{number}.ann").write_text(annotations)


def other_words(folder):
    (folder / "my-meds.yaml").write_text(TASK.replace("every medicine", "all medicines"))


def other_weights(folder):
    file = folder / "backbone" / "model.safetensors"
    weights = {name: tensor * 1.5 for name, tensor in load_file(file).items()}
    save_file(weights, file, metadata={"format": "pt"})


@pytest.mark.parametrize(
    ("change", "older"), [(other_notes, False), (other_words, False), (other_weights, False), (other_words, True)]
)
def test_what_rests_on_something_else_is_done_again(study, tmp_path, change, older):
    study("run")
    [(name, first)] = records(tmp_path).items()
    if older:  # as records were before they said it
        rest = {field: value for field, value in first.items() if field != "rests_on"}
        (tmp_path / "out" / "gangs" / name).write_text(json.dumps(rest))
    study("run")
    assert records(tmp_path)[name] == (rest if older else first)  # nothing changed, nothing done
    change(tmp_path)
    assert study("run")["done"] == 1
    [second] = records(tmp_path).values()
    assert second["key"] == first["key"] and second["rests_on"] != first["rests_on"]
    assert second["adapt"] != first["adapt"] and second["evaluate"] != first["evaluate"]
    assert study("report")["missing"] == 0


def test_a_description_or_a_licence_is_no_other_task(study, tmp_path):
    study("run")
    first = records(tmp_path)
    (tmp_path / "my-meds.yaml").write_text(TASK + "licence: ours\ndescription: notes\n")
    study("run")
    assert records(tmp_path) == first


def test_results_stay_where_the_corpus_or_the_backbone_is_gone(study, tmp_path):
    study("run")
    first = records(tmp_path)
    shutil.rmtree(tmp_path / "notes")
    shutil.move(tmp_path / "backbone", tmp_path / "elsewhere")
    assert study("run")["done"] == 1 and records(tmp_path) == first
    shutil.move(tmp_path / "elsewhere", tmp_path / "backbone")
    assert study("report")["missing"] == 0


def test_the_report_is_on_the_targets_and_limits_of_now(study, tmp_path):
    study("run")
    more = ('tasks.targets=["my-meds.yaml", "lab-flag"]', "limits.test=3")
    study("run", *more)
    assert study("report", *more)["missing"] == 0
    assert sorted(scores(tmp_path)) == [
        (target, method, "3") for target in ("lab-flag", "my-meds") for method in ("instruction", "trivial")
    ]
    study("run")  # all is done; the record of the part goes back
    assert study("report")["missing"] == 0
    assert sorted(scores(tmp_path)) == [("my-meds", "instruction", "2"), ("my-meds", "trivial", "2")]


def test_prepared_data_that_is_gone_is_made_again_by_run(study, tmp_path):
    study("run")
    first = records(tmp_path)
    shutil.rmtree(tmp_path / "runs" / "prepare")
    assert "have `clinprompt study run` prepare it again" in study("report", code=2)
    study("run")
    assert records(tmp_path) == first and study("report")["missing"] == 0


@pytest.mark.parametrize("target", ["tasks/meds", "tasks/meds/task.json"])
def test_a_folder_that_was_imported_is_a_target(study, tmp_path, clinprompt, target):
    assert clinprompt("data", "import", "notes", "--out", "tasks/meds", "--split", "dev=0.2,test=0.4").code == 0
    sets = (f'tasks.targets=["{target}", "lab-flag"]', f"across={{{target}: [my-meds.yaml]}}")
    assert study("plan", *sets)["missing_data"] == {}
    assert study("run", *sets)["gaps"] == []
    assert study("report", *sets)["missing"] == 0
    assert set(scores(tmp_path)) >= {
        ("meds", "instruction", "2"), ("meds", "trivial", "2"), ("meds on my-meds", "instruction", "2"),
    }  # fmt: skip
    [record] = records(tmp_path).values()
    assert set(record["rests_on"]) == {"backbone", "target meds", "target lab-flag", "other my-meds"}


def test_a_cell_with_too_many_shots_is_a_gap_of_its_own(study, tmp_path):
    more = ("methods={shown: {kind: in-context}}", "shots=[1, 50]")
    [gap] = study("run", *more, code=3)["gaps"]
    assert (gap["target"], gap["shots"], gap["error"]) == ("my-meds", "50", "too few examples")
    assert "50 shots cannot be drawn" in gap["reason"]
    assert study("report", *more)["missing"] == 1 and ("my-meds", "shown", "2") in scores(tmp_path)


def test_an_address_is_for_ray(clinprompt, tmp_path):
    (tmp_path / "study.yaml").write_text(STUDY.replace("TARGET", "lab-flag"))
    ended = clinprompt("study", "run", str(tmp_path / "study.yaml"), "--address", "localhost:6379")
    assert ended.code == 2 and "Give --executor ray too" in " ".join(ended.err.split())


def test_a_folder_without_a_task_is_told(study, tmp_path):
    assert "this folder holds no prepared task" in study("plan", "tasks.targets=[notes]", code=2)
