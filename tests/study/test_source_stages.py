"""What a plan says of teachers and metaprompts, against what a run then makes of them."""

from __future__ import annotations

import json
import shutil

import pytest

from clinprompt.stages.overrides import load_config
from clinprompt.study import effort
from clinprompt.study.archive import Archive
from clinprompt.study.duration import seconds_of
from clinprompt.study.expansion import parts_of, planned
from clinprompt.study.finished import finished_before
from clinprompt.study.memory import teachers_memory
from clinprompt.study.rate import Rate
from clinprompt.study.running import Worker, run_gangs
from clinprompt.study.source_stages import stage_lines
from clinprompt.study.study_file import Study
from tests.made_backbones import tiny_folder
from tests.study.run_before import run_before

STUDY = """
name: stages
backbones: {tiny: {path: FOLDER}}
tasks: {sources: [medications, impression, lab-statements], targets: [lab-flag]}
prompt: {length: 3}
limits: {train: 5, dev: 2, test: 3}
sources: {teach: &b {steps: 2, batch: 2, rates: [0.1], dev_limit: 2}, distill: *b}
methods:
  instruction: {kind: instruction}
  prompt-tuning: {kind: prompt-tuning, budget: *b}
  mpt: {kind: mpt, budget: *b}
  spot: {kind: spot, budget: *b}
shots: [2]
score: {answer_tokens: 3, resamples: 100}
leakage: {notes: 1}
"""
RATE = {("tiny", "", "teach"): Rate(1.0, 0.5, 0.0, 0.0), ("tiny", "", "distill"): Rate(5.0, 1.0, 0.0, 0.0)}


def study(folder, *sets):
    file = folder / "study.yaml"
    file.write_text(STUDY.replace("FOLDER", str(folder / "backbone")))
    return load_config(file, Study, sets)


def lines(found, worker, rates=RATE):
    gangs = planned(parts_of(found))
    before = finished_before(gangs, worker.archive, worker.runs)
    return stage_lines(
        gangs, worker.runs, rates, done=before, memory=lambda own: teachers_memory(own, tokens=90, answer=5)
    )


def counts(found, worker):
    return [(one.stage, one.prompts, one.there, one.left) for one in lines(found, worker)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("stages")
    tiny_folder(folder / "backbone", context=4096)
    two = study(folder, "tasks.sources=[medications, impression]")
    worker = Worker(folder / "runs", Archive(folder / "out"))
    records, gaps = run_gangs(planned(parts_of(two)), worker)
    assert len(records) == 4 and not gaps
    return folder


@pytest.fixture
def worker(folder, tmp_path):
    """A study of two of the three sources, run before, in folders of this test."""
    return run_before(folder, tmp_path)


def test_nothing_is_there_before_anything_is_run(folder, tmp_path):
    new = Worker(tmp_path / "runs", Archive(tmp_path / "out"))
    assert counts(study(folder), new) == [("teach", 3, 0, 3), ("distill", 1, 0, 1)]
    teachers, metaprompt = lines(study(folder), new)
    assert (teachers.seconds, metaprompt.seconds) == (3 * (1 + 2 * 0.5), 5 + 2 * 1)
    assert teachers.rests_on == metaprompt.rests_on == "measured"
    assert (teachers.steps, teachers.rates, teachers.part) == (2, 1, "tiny")
    assert teachers.memory > 0 and metaprompt.memory is None
    assert [one.seconds for one in lines(study(folder), new, rates={})] == [None, None]
    # Counts of sources and parts share teachers: three for both, and two metaprompts.
    both = study(folder, "source_counts=[2, 3]")
    assert [(one.part, one.stage, one.there, one.left) for one in lines(both, new)] == [
        ("2 sources", "teach", 0, 2), ("2 sources", "distill", 0, 1),
        ("3 sources", "teach", 2, 1), ("3 sources", "distill", 0, 1),
    ]  # fmt: skip


def test_what_a_run_then_trains_is_what_the_plan_counted(folder, worker, tmp_path):
    more = study(folder)
    assert counts(more, worker) == [("teach", 3, 2, 1), ("distill", 1, 0, 1)]
    run_gangs(planned(parts_of(more)), worker)
    made = [json.loads(path.read_text())["summary"] for path in (worker.runs / "teach").glob("*/done.json")]
    [summary] = [one for one in made if one["taken"]]
    assert sum(summary["taken"].values()) == 2 and len(summary["teachers"]) == 3
    assert counts(more, worker) == [("teach", 3, 3, 0), ("distill", 1, 1, 0)]
    shutil.rmtree(tmp_path / "out")  # of all gangs no record is there, of the runs all
    assert counts(more, worker) == [("teach", 3, 3, 0), ("distill", 1, 1, 0)]
    assert {one.seconds for one in lines(more, worker)} == {0.0}


def test_the_time_of_finished_runs_goes_before_what_was_measured(folder, worker):
    [taught], [distilled] = ([*(worker.runs / name).iterdir()] for name in ("teach", "distill"))
    teachers, metaprompt = lines(study(folder), worker)
    assert teachers.seconds == pytest.approx(seconds_of(taught) / 2)
    assert metaprompt.seconds == pytest.approx(seconds_of(distilled))
    assert teachers.rests_on == metaprompt.rests_on == "1 run(s)"


@pytest.mark.parametrize(
    ("change", "teachers", "metaprompts"),
    [
        ("name=other", 2, 1),
        ("methods.mpt.budget.steps=3", 2, 1),
        ("backbones.tiny.note_memory=9", 2, 1),
        ("limits.test=2", 0, 0),
        ("sources.distill.steps=3", 2, 0),
        ("sources.teach.steps=3", 0, 0),
        ("sources.placement=prefix", 0, 0),
        ("sources.seed=2", 0, 0),
        ("sources.exclude_overlap=true", 0, 0),
        ("backbones.tiny.dtype=float64", 0, 0),
        ("tasks.sources=[impression, medications]", 2, 0),  # in another order it is mixed in another one
    ],
)
def test_only_what_is_the_same_counts_as_there(change, teachers, metaprompts, folder, worker):
    two = study(folder, "tasks.sources=[medications, impression]", change)
    assert [one.there for one in lines(two, worker)] == [teachers, metaprompts]


def test_what_no_gang_needs_is_not_left(folder, worker):
    two = study(folder, "tasks.sources=[medications, impression]")
    shutil.rmtree(worker.runs / "teach")
    assert counts(two, worker) == [("teach", 2, 0, 0), ("distill", 1, 0, 0)]  # the metaprompt's teachers are gone too
    shutil.rmtree(worker.runs / "distill")
    assert counts(two, worker) == [("teach", 2, 0, 0), ("distill", 1, 0, 0)]
    for file in (worker.archive.folder / "gangs").glob("*.json"):
        file.unlink()
    assert counts(two, worker) == [("teach", 2, 0, 2), ("distill", 1, 0, 1)]


def test_a_variant_has_a_metaprompt_of_its_own_and_the_same_teachers(folder, tmp_path):
    new = Worker(tmp_path / "runs", Archive(tmp_path / "out"))
    own = ["methods.other={kind: mpt, metaprompt: cold}", "sources.variants.cold={temperature: 2.0}"]
    found = lines(study(folder, *own), new)
    assert [(one.stage, one.variant) for one in found] == [("teach", ""), ("distill", ""), ("distill", "cold")]
    bare = ["methods.other={kind: mpt, metaprompt: bare}", "sources.variants.bare={weight: 0, distill_start: text}"]
    assert [(one.stage, one.variant) for one in lines(study(folder, *bare), new)][2:] == [("distill", "bare")]
    for without in ("{kind: prompt-tuning}", "{kind: instruction}"):
        plain = study(folder, f"methods={{only: {without}}}")
        assert not lines(plain, new)


def test_a_damaged_run_counts_for_nothing(folder, worker):
    two = study(folder, "tasks.sources=[medications, impression]")
    for harm in ("done.json", "config.yaml"):
        for path in worker.runs.glob(f"*/*/{harm}"):
            path.write_text("{")
        assert [one.there for one in lines(two, worker)] == [0, 0]


def test_teachers_and_metaprompts_are_measured_each_once(folder, tmp_path):
    both = study(folder, "source_counts=[2, 3]", "sources.teach.keep=best")
    gangs = planned(parts_of(both))
    effort.measure(gangs, Worker(tmp_path / "runs", Archive(tmp_path / "out")))
    rates = effort.read_measured_stages(tmp_path / "out")
    assert set(rates) == set(RATE)
    own = ["methods.other={kind: mpt, metaprompt: cold}", "sources.variants.cold={temperature: 2.0}"]
    said, archive = [], Archive(tmp_path / "own")
    worker = Worker(tmp_path / "runs", archive, say=lambda stage, text: said.append(text))
    effort.measure(planned(parts_of(study(folder, *own))), worker)
    assert [text for text in said if ": teach" in text] == ["tiny: teach"]
    assert set(effort.read_measured_stages(archive.folder)) == {*RATE, *((*kind[:1], "cold", kind[2]) for kind in RATE)}
    assert all(rate.of(gangs[0].part.recipe.sources.teach) > 0 for rate in rates.values())
    assert not (tmp_path / "out" / ".measuring").exists() and not (tmp_path / "runs").exists()


def test_what_a_search_tries_is_in_the_time_of_its_first_seed(folder, tmp_path):
    found = study(folder, "methods={m: {kind: prompt-tuning, budget: {steps: 10, keep: best, dev_every: 5}}}",
                  "sources=null", "search={kind: optuna, trials: 4}", "seeds=[1, 2]")  # fmt: skip
    gangs, archive = planned(parts_of(found), found.search), Archive(tmp_path)
    sizes = {f"{one.part.slug}/lab-flag/test": 3 for one in gangs}
    (tmp_path / "measured.json").write_text(json.dumps({"sizes": sizes}))
    rates = {("tiny", "m"): Rate(1.0, 0.5, 2.0, 10.0)}
    training, scoring = 1 + 10 * 0.5 + 2 * 2, 3 * 10

    def times():
        nothing = dict.fromkeys([one.key for one in gangs], 0)
        found = effort.times(gangs, archive, rates, done=dict.fromkeys(nothing, False), there=nothing)
        return [found[one.key][0] for one in gangs]

    assert times() == [4 * training + scoring, training + scoring]
    archive.search_file(gangs[0].key).parent.mkdir()
    archive.search_file(gangs[0].key).write_text("{}")
    assert times() == [training + scoring] * 2
