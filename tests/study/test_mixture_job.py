"""A recipe and a study with methods that weigh what the sources made: they get it, and say so where there is none."""

from __future__ import annotations

import json

import pytest

from clinprompt.errors import InputError
from clinprompt.prompts.prompt_file import load_prompt
from clinprompt.stages.adapted import read_adapted
from clinprompt.stages.opened import open_backbone
from clinprompt.stages.overrides import load_config
from clinprompt.stages.progress import silent
from clinprompt.study.archive import Archive
from clinprompt.study.expansion import parts_of, planned
from clinprompt.study.ingredients import make_metaprompt, prepare_all
from clinprompt.study.job import run_job
from clinprompt.study.recipe import Recipe
from clinprompt.study.running import Worker, run_gangs
from clinprompt.study.study_file import Study
from tests.made_backbones import tiny_folder

SHORT = {"steps": 1, "batch": 2, "rates": [0.1], "dev_limit": 2}
SOURCES = ("problem-mentioned", "substance-use")
METHODS = {
    "attention": {"kind": "attention", "budget": SHORT},
    "routing": {"kind": "routing", "segments": 2, "budget": SHORT},
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tiny_folder(tmp_path_factory.mktemp("backbone"), context=4096)


@pytest.fixture(scope="module")
def same(folder):
    """What the recipe and the study have in common."""
    return {
        "name": "mixtures",
        "limits": {"train": 2, "dev": 2, "test": 2},
        "prompt": {"length": 4},
        "methods": METHODS,
        "shots": [2],
        "score": {"limit": 1, "answer_tokens": 2, "likelihood": False, "resamples": 100},
    }


@pytest.fixture(scope="module")
def job(same, folder, tmp_path_factory):
    runs = tmp_path_factory.mktemp("runs")
    recipe = Recipe(
        **same, backbone={"path": str(folder)}, targets=("lab-flag",),
        sources={"tasks": SOURCES, "teach": SHORT, "distill": SHORT},
    )  # fmt: skip
    return runs, run_job(recipe, runs=runs)


def test_a_recipe_hands_its_teachers_and_its_metaprompt_on(job):
    _, result = job
    for name in METHODS:
        [cell] = read_adapted(result.adapted[name, 1])
        assert sorted(cell.weights) == sorted(SOURCES)
        card = load_prompt(result.adapted[name, 1] / cell.file).card
        assert (card.method, set(card.lineage.sources)) == (name, set(SOURCES))
        assert [line.shots for line in result.lines if line.method == name] == ["2"]


def test_a_study_of_the_same_runs_the_same(job, same, folder, tmp_path):
    runs, result = job
    study = Study(
        **same, backbones={"tiny": {"path": str(folder)}}, sources={"teach": SHORT, "distill": SHORT},
        tasks={"sources": SOURCES, "targets": ("lab-flag",)},
    )  # fmt: skip
    done, gaps = run_gangs(planned(parts_of(study)), Worker(runs, Archive(tmp_path)))
    assert not gaps
    assert {record.method: (runs / record.adapt / "outputs").resolve() for record in done} == {
        name: result.adapted[name, 1].resolve() for name in METHODS
    }


def test_a_study_of_teachers_alone_distils_nothing(job, same, folder, tmp_path):
    runs, _ = job
    study = Study(
        **same | {"methods": {"attention": METHODS["attention"]}}, backbones={"tiny": {"path": str(folder)}},
        sources={"teach": SHORT, "distill": SHORT, "rank": 2}, tasks={"sources": SOURCES, "targets": ("lab-flag",)},
    )  # fmt: skip
    [part] = parts_of(study)
    worker = Worker(runs, Archive(tmp_path))
    made = worker.ingredients(part, sources=True)
    assert made.teach is not None and made.distill is None and made.metaprompt is None
    record = worker.archive.part(part.slug)
    assert record.teach and not record.distill and not record.metaprompt


def test_the_metaprompt_is_the_same_with_a_method_that_needs_teachers_and_without(same, folder, job):
    runs, _ = job
    undistilled = {"tasks": SOURCES, "teach": SHORT, "distill": SHORT, "weight": 0, "distill_start": "vocabulary"}
    found = {}
    for name, methods in (("with", METHODS), ("without", {"routing": METHODS["routing"]})):
        recipe = Recipe(
            **same | {"methods": methods}, backbone={"path": str(folder)}, targets=("lab-flag",), sources=undistilled
        )
        _, sources = prepare_all(recipe, runs=runs, progress=silent, say=lambda *_: None)
        given = {"runs": runs, "opened": open_backbone(recipe.backbone), "progress": silent, "say": lambda *_: None}
        found[name] = make_metaprompt(recipe, sources, **given)
    (taught, one), (none, other) = found["with"], found["without"]
    assert taught is not None and none is None and one.path == other.path


@pytest.mark.parametrize(
    "kind, changes, said",
    [
        (
            Recipe,
            {"methods": {"a": {"kind": "attention"}}},
            "spot and attention start from the prompts of the sources, and need `sources`",
        ),
        (Recipe, {"methods": {"r": {"kind": "routing"}}}, "so does routing, unless `experts` is a number"),
        (Recipe, {"methods": {"r": {"kind": "routing", "experts": 0}}}, "experts"),
        (Study, {"methods": {"a": {"kind": "attention"}}}, "spot and attention need `sources`"),
        (
            Recipe,
            {"methods": {"s": {"kind": "spot"}}, "sources": {"tasks": SOURCES}, "metaprompt": "m"},
            "does not hold these prompts, and is left out",
        ),
        (
            Study,
            {"methods": {"s": {"kind": "spot"}}, "sources": {}, "metaprompts": {"tiny": "m"}},
            "do not hold these prompts, and are left out",
        ),
        (Study, {"methods": {"r": {"kind": "routing"}}}, "so does routing, unless `experts` is a number"),
    ],
)
def test_a_file_without_sources_is_refused_in_words(kind, changes, said, tmp_path):
    content = {"name": "x"} | changes
    content |= {"targets": ["lab-flag"]} if kind is Recipe else {
        "backbones": {"tiny": {"path": "embedded"}}, "tasks": {"targets": ["lab-flag"]}
    }  # fmt: skip
    path = tmp_path / "file.yaml"
    path.write_text(json.dumps(content))
    with pytest.raises(InputError) as caught:
        load_config(path, kind)
    assert said in str(caught.value)


def test_experts_of_ones_own_need_no_sources(tmp_path):
    path = tmp_path / "file.yaml"
    path.write_text("name: x\ntargets: [lab-flag]\nmethods: {r: {kind: routing, experts: 2}}\n")
    assert load_config(path, Recipe).methods["r"].experts == 2
