"""A study that is given another target and more shots trains and scores those, and ends as one that had them at once."""

from __future__ import annotations

import json
import shutil

import pytest
import torch

from clinprompt.prompts.prompt_file import load_metaprompt
from clinprompt.stages import adapt_prompts, adapt_weights, evaluate, teach
from clinprompt.stages.distill import FILE
from clinprompt.stages.overrides import load_config
from clinprompt.study import effort
from clinprompt.study.archive import Archive
from clinprompt.study.collection import collect
from clinprompt.study.duration import seconds_of
from clinprompt.study.expansion import parts_of, planned
from clinprompt.study.finished import cells_before
from clinprompt.study.rate import Rate
from clinprompt.study.running import Worker, run_gangs
from clinprompt.study.study_file import Study
from tests.made_backbones import tiny_folder
from tests.study.run_before import run_before

STUDY = """
name: growing
backbones: {tiny: {path: FOLDER, dtype: float64}}
tasks: {sources: [medications, impression], targets: [TARGETS]}
prompt: {length: 3}
limits: {train: 5, dev: 2, test: 3}
sources: {teach: &b {steps: 2, batch: 2, rates: [0.1], dev_limit: 2}, distill: *b}
methods:
  instruction: {kind: instruction}
  in-context: {kind: in-context}
  mpt: {kind: mpt, factors: select, budget: *b}
  lora: {kind: lora, rank: 2, budget: *b}
across: {drug-route-site-b: [drug-route]}
shots: [SHOTS]
score: {answer_tokens: 3, resamples: 100}
leakage: {notes: 1}
"""
SMALL = ("drug-route-site-b", "2")
GROWN = ("lab-flag, drug-route-site-b", "2, 4")


def study(folder, targets, shots, sources="medications, impression"):
    file = folder / "study.yaml"
    text = STUDY.replace("FOLDER", str(folder / "backbone")).replace("TARGETS", targets)
    file.write_text(text.replace("[SHOTS]", f"[{shots}]").replace("medications, impression", sources))
    return load_config(file, Study)


def done(found, worker):
    gangs = planned(parts_of(found))
    records, gaps = run_gangs(gangs, worker)
    assert not gaps and len(records) == len(gangs)
    return {record.method: record for record in records}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("growing")
    tiny_folder(folder / "backbone", context=4096)
    done(study(folder, *SMALL), Worker(folder / "runs", Archive(folder / "out")))
    return folder


@pytest.fixture
def worker(folder, tmp_path):
    """The small study, run before, in folders of this test."""
    return run_before(folder, tmp_path)


@pytest.fixture
def work(monkeypatch):
    """The cells that are trained and those that are asked, by method."""
    found = {"trained": set(), "asked": []}
    for module in (adapt_prompts, adapt_weights):

        def train(backbone, source, members, *, _train=module.train, **options):
            found["trained"] |= {member.name.partition("@")[0] for member in members}
            return _train(backbone, source, members, **options)

        monkeypatch.setattr(module, "train", train)

    def predict(opened, outputs, cell, item, examples, *rest, _predict=evaluate._predict):
        found["asked"].append((cell.method, cell.key, examples[0].id))
        return _predict(opened, outputs, cell, item, examples, *rest)

    monkeypatch.setattr(evaluate, "_predict", predict)
    return found


def scores(found, worker):
    [part] = collect(parts_of(found), worker.archive, runs=worker.runs)
    assert not part.missing
    return {
        (line.method, line.target, line.shots): (line.score, line.low, line.high, line.n) for line in part.result.lines
    }


def test_only_what_is_new_is_trained_and_scored(folder, worker, work, tmp_path):
    said = []
    worker.say = lambda stage, text: said.append(text)
    grown = study(folder, *GROWN)
    records = done(grown, worker)
    new = {"lab-flag/k2-d0", "lab-flag/k4-d0", "drug-route-site-b/k4-d0"}
    assert work["trained"] == new
    asked = {method: [key for kind, key, _ in work["asked"] if kind == method] for method in records}
    for method in ("mpt", "lora", "in-context"):  # its place elsewhere is asked too, of the new cell alone
        assert sorted(asked[method]) == sorted([*new, "drug-route-site-b/k4-d0"])
    assert asked["instruction"] == ["lab-flag/k0-d0"]
    assert (
        sum(" cells were trained before" in text and (": 1 of 4" in text or ": 1 of 2" in text) for text in said) == 4
    )
    for record in records.values():
        assert set(record.seconds) == {"adapt", "evaluate"}  # of both runs together
        own = json.loads((worker.runs / record.adapt / "done.json").read_text())["seconds"]
        assert record.seconds["adapt"] > own

    anew = Worker(tmp_path / "anew", Archive(tmp_path / "anew-out"))
    done(grown, anew)
    found, expected = scores(grown, worker), scores(grown, anew)
    assert found.keys() == expected.keys() and len(found) == 2 + 3 + 3 * 2 * 3
    for place, values in expected.items():
        assert found[place] == pytest.approx(values, abs=1e-9)


def test_the_plan_counts_what_will_be_taken(folder, worker):
    def counted(found):
        gangs = planned(parts_of(found))
        return {
            one.gang.method: count
            for one in gangs
            if (count := cells_before(gangs, worker.archive, worker.runs)[one.key])
        }

    grown = study(folder, *GROWN)
    assert counted(grown) == dict.fromkeys(("instruction", "in-context", "mpt", "lora"), 1)
    lora = grown.methods["lora"].model_copy(update={"rank": 3})
    assert "lora" not in counted(grown.model_copy(update={"methods": grown.methods | {"lora": lora}}))
    gangs = planned(parts_of(grown))
    rates = dict.fromkeys([("tiny", one.gang.method) for one in gangs], Rate(6.0, 0.0, 0.0, 0.0))
    sizes = {"sizes": {f"{one.part.slug}/{cell.target}/test": 3 for one in gangs for cell in one.cells}}
    (worker.archive.folder / "measured.json").write_text(json.dumps(sizes))
    there = cells_before(gangs, worker.archive, worker.runs)
    times = effort.times(gangs, worker.archive, rates, done=dict.fromkeys(there, False), there=there)
    assert {seconds for seconds, _ in times.values()} == {
        3.0,
        4.5,
    }  # one of two cells is there, of the others one of four

    [record] = [one for one in map(worker.archive.gang, worker.archive.configurations()) if one.method == "mpt"]
    shutil.rmtree(worker.runs / record.adapt)
    assert "mpt" not in counted(grown)
    done(grown, worker)
    assert not {name for name, count in counted(study(folder, *SMALL)).items() if count != 1}


def test_one_more_source_trains_one_teacher_and_the_metaprompt_anew(folder, worker, monkeypatch, tmp_path):
    taught, said = [], []
    train = teach.train
    monkeypatch.setattr(teach, "train", lambda *given, **options: taught.append(given[2]) or train(*given, **options))
    worker.say = lambda stage, text: said.append((stage, text))
    more = study(folder, *SMALL, sources="medications, lab-flag, impression")
    done(more, worker)
    assert [[member.name.partition("@")[0] for member in members] for members in taught] == [["lab-flag"]]
    [before] = {path.parent.name for path in (folder / "runs" / "teach").glob("*/done.json")}
    assert ("teach", f"2 of 3 teachers were trained before, in run {before}") in said
    [part] = parts_of(more)
    record = worker.archive.part(part.slug)
    own = json.loads((worker.runs / record.teach / "done.json").read_text())["seconds"]
    assert record.seconds["teach"] > own

    anew = Worker(tmp_path / "anew", Archive(tmp_path / "anew-out"))
    done(more, anew)
    made = [
        load_metaprompt(one.runs / one.archive.part(part.slug).distill / "outputs" / FILE).vectors
        for one in (worker, anew)
    ]
    assert torch.allclose(*made, rtol=1e-9, atol=1e-12)


def test_a_study_that_shrinks_trains_and_asks_nothing(folder, worker, work):
    done(study(folder, *GROWN), worker)
    for kept in work.values():
        kept.clear()
    done(study(folder, "lab-flag, drug-route-site-b", "4"), worker)
    assert not work["trained"] and not work["asked"]


def test_scores_are_taken_of_the_same_files_from_runs_that_are_there(folder, worker, work, monkeypatch):
    monkeypatch.setattr("os.link", _no_links)  # then a taken file is another one of the same content
    done(study(folder, *GROWN), worker)
    assert [key for method, key, _ in work["asked"] if method == "mpt"].count("drug-route-site-b/k2-d0") == 0


@pytest.mark.parametrize("harm", ["gone", "broken", "trained anew"])
def test_scores_that_cannot_be_taken_are_made(harm, folder, worker, work, monkeypatch):
    for path in (worker.runs / "evaluate").glob("*/outputs/scores.json"):
        if harm == "gone":
            shutil.rmtree(path.parents[1])
        elif harm == "broken":
            path.write_text('{"cells": [{}]}')
    if harm == "trained anew":  # in the run that they are from, since
        monkeypatch.setattr("clinprompt.stages.taken_scores.same_files", lambda one, other: False)
    done(study(folder, *GROWN), worker)
    asked = [method for method, key, _ in work["asked"] if key == "drug-route-site-b/k2-d0"]
    assert asked == ["in-context", "in-context", "mpt", "mpt", "lora", "lora"]  # here and elsewhere


def _no_links(source, target):
    raise PermissionError


def test_the_time_of_a_run_that_has_a_part_of_another_is_not_known(folder, worker):
    grown = done(study(folder, *GROWN), worker)
    assert seconds_of(worker.runs / grown["mpt"].adapt) is not None
    part = done(study(folder, "drug-route-site-b", "2, 3"), worker)["mpt"]  # one cell of three
    assert "adapt" not in part.seconds and seconds_of(worker.runs / part.adapt) is None
    small = done(study(folder, *SMALL), worker)["mpt"]
    shutil.rmtree(worker.runs / small.adapt)
    assert seconds_of(worker.runs / grown["mpt"].adapt) is None
