"""The 2×2 of decomposition and distillation and the other switches of mpt, from one study file, for real."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest
import torch

from clinprompt.errors import InputError
from clinprompt.prompts.prompt_file import load_metaprompt, load_prompt
from clinprompt.stages.overrides import load_config
from clinprompt.study.ablation import ablations
from clinprompt.study.archive import Archive
from clinprompt.study.collection import collect
from clinprompt.study.expansion import parts_of, planned
from clinprompt.study.running import Worker, run_gangs
from clinprompt.study.study_file import Study
from clinprompt.study.study_report import report_study
from tests.made_backbones import tiny_folder

P, H = 3, 32
SHORT = "{steps: 2, batch: 2, rates: [0.3], dev_limit: 2}"
STUDY = """
name: switches
backbones: {tiny: {path: FOLDER}}
tasks: {sources: [medications, impression], targets: [lab-flag]}
prompt: {length: 3}
limits: {train: 6, dev: 2, test: 2}
sources:
  distill_start: vocabulary
  teach: SHORT
  distill: SHORT
  variants:
    undistilled: {weight: 0}
    shared: {decomposed: false}
    shared, undistilled: {decomposed: false, weight: 0}
    additive: {shift: additive, rank: 2}
    before: {placement: prefix, temperature: 2.0, hidden_layers: [-1, 0], weight: 0.5}
methods:
  both: {kind: mpt, budget: &b SHORT}
  decomposition: {kind: mpt, metaprompt: undistilled, budget: *b}
  distillation: {kind: mpt, metaprompt: shared, budget: *b}
  neither: {kind: mpt, metaprompt: "shared, undistilled", budget: *b}
  additive: {kind: mpt, metaprompt: additive, rank: 3, factors: neutral, budget: *b}
  before: {kind: mpt, metaprompt: before, budget: *b}
  random: {kind: mpt, random_metaprompt: true, budget: *b}
  held: {kind: mpt, prior: 1.0, kl_to_start: 0.5, budget: *b}
  metaprompt only: {kind: mpt, train_factors: false, budget: *b}
  residual: {kind: prompt-tuning, encoder: mlp, budget: *b}
ablation: {neither: neither, decomposition: decomposition, distillation: distillation, both: both}
compare: {both: [residual, decomposition]}
shots: [0, 2]
score: {limit: 2, answer_tokens: 2, likelihood: false, resamples: 100}
leakage: {notes: 1}
"""
WHOLE, FACTORS = P * H, P + H


def made(folder, text=STUDY):
    file = folder / "study.yaml"
    file.write_text(text.replace("FOLDER", str(folder / "backbone")).replace("SHORT", SHORT))
    return load_config(file, Study)


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    folder = tmp_path_factory.mktemp("switches")
    tiny_folder(folder / "backbone", context=4096)
    found = made(folder)
    worker = Worker(folder / "runs", Archive(folder / "out"))
    done, gaps = run_gangs(planned(parts_of(found)), worker)
    assert not gaps and len(done) == len(found.methods)
    return found, worker, collected(found, worker).result


def collected(found, worker, *, say=lambda stage, text: None):
    [part] = collect(parts_of(found), worker.archive, runs=worker.runs, say=say)
    return part


def test_the_table_of_four_is_there(study):
    found, _, result = study
    assert result.groups.lines and found.ablation
    tables = ablations(found.ablation, result.groups, result.drawn)
    assert {table.shots for table in tables} == {"0", "2"}
    assert list(tables[0].scores) == ["neither", "decomposition", "distillation", "both"]
    assert [effect.name for effect in tables[0].effects] == ["decomposition", "distillation", "interaction"]


def test_each_variant_is_a_run_of_its_own_and_teachers_are_shared_and_made_only_where_needed(study):
    _, worker, _ = study
    record = worker.archive.part("tiny")
    assert set(record.variants) == {"undistilled", "shared", "shared, undistilled", "additive", "before"}
    runs = {name: worker.runs / path for name, path in record.variants.items()} | {"": worker.runs / record.distill}
    assert len({path.name for path in runs.values()}) == 6
    inputs = {name: json.loads((path / "inputs.json").read_text())["inputs"] for name, path in runs.items()}
    taught = {name: given["teachers"]["sha256"] for name, given in inputs.items() if "teachers" in given}
    assert set(taught) == {"", "shared", "additive", "before"}
    assert len({taught[name] for name in ("", "shared", "additive")}) == 1 and taught["before"] != taught[""]
    made = {name: load_metaprompt(path / "outputs" / "metaprompt.safetensors") for name, path in runs.items()}
    assert all(not made[name].factors and made[name].card.rank is None for name in ("shared", "shared, undistilled"))
    assert all(len(made[name].factors) == 2 for name in ("", "undistilled", "additive", "before"))
    assert (made["additive"].card.shift, made["additive"].card.rank) == ("additive", 2)
    assert (made["before"].card.placement, made["undistilled"].card.placement) == ("prefix", "suffix")
    assert {one.card.length for one in made.values()} == {P}


def test_prompts_are_plain_and_their_trained_numbers_are_those_of_the_method(study):
    _, _, result = study
    trainable = {line.method: line.trainable for line in result.lines if line.shots == "2"}
    expected = dict.fromkeys(("both", "decomposition", "before", "random", "held"), WHOLE + FACTORS)
    expected |= dict.fromkeys(("distillation", "neither", "metaprompt only"), WHOLE)
    expected |= {"additive": WHOLE + 3 * FACTORS, "residual": WHOLE + 2 * (H * H + H)}
    assert {name: trainable[name] for name in expected} == expected
    for (name, _), outputs in result.adapted.items():
        start, end = (load_prompt(outputs / "lab-flag" / cell / "prompt.safetensors") for cell in ("k0-d0", "k2-d0"))
        assert start.vectors.shape == end.vectors.shape == (P, H)
        assert not torch.allclose(start.vectors, end.vectors), name


def test_starts_are_what_the_switches_say(study):
    _, worker, result = study
    record = worker.archive.part("tiny")

    def start(name):
        return load_prompt(result.adapted[name, 1] / "lab-flag" / "k0-d0" / "prompt.safetensors").vectors

    for method, variant in (("neither", "shared, undistilled"), ("distillation", "shared"), ("additive", "additive")):
        folder = worker.runs / record.variants[variant]
        assert torch.equal(start(method), load_metaprompt(folder / "outputs" / "metaprompt.safetensors").vectors)
    assert torch.equal(start("held"), start("both")) and torch.equal(start("metaprompt only"), start("both"))
    assert not torch.allclose(start("random"), start("both"), atol=0.01)


def test_the_report_shows_how_far_the_target_is_and_what_it_gains(study, tmp_path):
    found, worker, _ = study
    part, said = collected(found, worker), []
    [far] = part.divergences
    assert set(far.sources) == {"medications", "impression"} and 0 < far.pooled < 1
    report_study(tmp_path / "here", found, [part], [], command="")
    [first, *_] = rows = list(csv.DictReader((tmp_path / "here" / "divergence.csv").read_text().splitlines()))
    assert [(row["method"], row["against"], row["shots"]) for row in rows] == [("both", "residual", n) for n in "02"]
    assert first["pooled"] == f"{far.pooled:.4f}" and first["nearest"] == far.nearest
    page = (tmp_path / "here" / "report.html").read_text()
    assert "Distribution shift and gain" in page and "tiny: both − residual" in page and f"{far.pooled:.3f}" in page
    assert "tiny: gain of both over residual" in page and "lab-flag" in page
    assert {path.suffix for path in (tmp_path / "here" / "figures").glob("divergence-*")} == {".png", ".svg"}

    record = worker.archive.part("tiny")
    place = worker.runs / record.sources["impression"]
    place.rename(tmp_path / "away")
    try:
        part = collected(found, worker, say=lambda stage, text: said.append(text))
    finally:
        (tmp_path / "away").rename(place)
    assert not part.divergences and any("the prepared data of impression is gone" in text for text in said)
    report_study(tmp_path / "gone", found, [part], [], command="")
    page = (tmp_path / "gone" / "report.html").read_text()
    assert "is not known for tiny: the sources of a finished metaprompt" in page and "gain of both" not in page
    assert (tmp_path / "gone" / "divergence.csv").read_text().count("\n") == 1


def test_names_of_variants_are_not_part_of_a_gangs_key(tmp_path):
    def keys(text):
        return {one.gang.method: one.key for one in planned(parts_of(made(tmp_path, text)))}

    first, renamed = keys(STUDY), keys(STUDY.replace("undistilled", "plain"))
    assert first == renamed
    without = keys(STUDY.replace("    additive: {shift: additive, rank: 2}\n", "").replace(
        "  additive: {kind: mpt, metaprompt: additive, rank: 3, factors: neutral, budget: *b}\n", ""))  # fmt: skip
    assert without.items() <= first.items()
    changed = keys(STUDY.replace("undistilled: {weight: 0}", "undistilled: {weight: 0, rank: 2}"))
    assert {name for name in first if first[name] != changed[name]} == {"decomposition"}


def test_a_variant_goes_back_to_what_is_usual(tmp_path):
    unusual = "distill_start: vocabulary\n  decomposed: false\n  placement: prefix"
    back = "{decomposed: true, placement: null, weight: 0}"
    text = STUDY.replace("distill_start: vocabulary", unusual).replace(
        "undistilled: {weight: 0}", f"undistilled: {back}"
    )
    made_of = {one.gang.method: one.configuration.sources for one in planned(parts_of(made(tmp_path, text)))}
    assert (made_of["both"].decomposed, made_of["both"].placement) == (False, "prefix")
    assert (made_of["decomposition"].decomposed, made_of["decomposition"].placement) == (True, None)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("metaprompt: before", "metaprompt: befor", "before"),
        ("temperature: 2.0", "temperatur: 2.0", "temperature"),
        ("train_factors: false", "train_factors: false, train_metaprompt: false", "both off"),
    ],
)
def test_what_cannot_be_is_refused_in_words(tmp_path, old, new, said):
    with pytest.raises(InputError, match=said):
        made(tmp_path, STUDY.replace(old, new))


def test_the_example_of_the_guide_is_a_study_of_one_part(tmp_path):
    page = (Path(__file__).parents[2] / "docs" / "guides" / "study.md").read_text(encoding="utf-8")
    (tmp_path / "study.yaml").write_text(page.split("```yaml\n")[1].split("```")[0])
    found = load_config(tmp_path / "study.yaml", Study)
    [part] = parts_of(found)
    assert found.ablation and set(found.ablation.model_dump().values()) < set(found.methods)
    sources = {one.gang.method: one.configuration.sources for one in planned([part])}
    assert {name: (one.weight, one.decomposed, one.distill_start) for name, one in sources.items()} == {
        "both": (1.0, True, "vocabulary"), "decomposition": (0, True, "vocabulary"),
        "distillation": (1.0, False, "vocabulary"), "neither": (0, False, "vocabulary"),
        "weight 0.5": (0.5, True, "vocabulary"),
    }  # fmt: skip
