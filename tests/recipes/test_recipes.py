"""Every recipe loads, says in its header how to run it, and names tasks that exist; the embedded suite is whole."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from clinprompt.cli.demo import RECIPE as DEMO
from clinprompt.schema.example import TaskKind
from clinprompt.stages.overrides import load_config
from clinprompt.study.expansion import partitions_of, parts_of, planned
from clinprompt.study.recipe import Recipe
from clinprompt.study.study_file import Study
from clinprompt.tasks.catalog import catalog, load_task

ROOT = Path(__file__).parents[2]
FILES = sorted((ROOT / "recipes").glob("*.yaml"))
STUDIES = [path for path in FILES if "clinprompt study run" in path.read_text(encoding="utf-8")]
RECIPES = [path for path in FILES if path not in STUDIES]
SUITE = ROOT / "recipes" / "embedded-suite.yaml"


@pytest.mark.parametrize("path", [*RECIPES, DEMO], ids=lambda path: path.stem)
def test_a_recipe_names_itself_and_tasks_that_exist(path):
    recipe = load_config(path, Recipe, {})
    assert recipe.name == path.stem
    others = [name for several in recipe.across.values() for name in several]
    for name in (*recipe.targets, *others, *(recipe.sources.tasks if recipe.sources else ())):
        assert load_task(name).name == name


@pytest.mark.parametrize("path", STUDIES, ids=lambda path: path.stem)
def test_a_study_names_itself_and_tasks_that_exist(path, monkeypatch):
    monkeypatch.chdir(ROOT)
    study = load_config(path, Study, [])
    assert study.name == path.stem and planned(parts_of(study), study.search)
    for partition in partitions_of(study).values():
        assert all(load_task(name).name == name for name in (*partition.sources, *partition.targets))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_header_says_what_it_takes(path):
    header = [line for line in path.read_text(encoding="utf-8").splitlines() if line.startswith("#")]
    command = "clinprompt study run" if path in STUDIES else "clinprompt run"
    assert any(f"{command} recipes/{path.name}" in line for line in header)
    assert any(line.startswith("# Hardware and time:") for line in header)
    assert any(line.startswith("# Expected figure:") for line in header)


def test_the_embedded_suite_is_all_synthetic_tasks():
    recipe = load_config(SUITE, Recipe, {})
    assert recipe.sources is not None
    tasks = {name: load_task(name) for name in catalog() if load_task(name).data.reader == "synthetic"}
    assert set(recipe.sources.tasks) == {name for name, task in tasks.items() if task.group == "source"}
    assert set(recipe.targets) == {name for name, task in tasks.items() if task.group in ("near", "far")}
    assert (len(recipe.sources.tasks), len(recipe.targets)) == (21, 10)
    pairs = Counter((tasks[name].kind, tasks[name].group) for name in recipe.targets)
    assert pairs == {(kind, group): 1 for kind in TaskKind for group in ("near", "far")}
    assert {tasks[name].kind for name in recipe.sources.tasks} == set(TaskKind)
    assert len(recipe.seeds) >= 3 and set(recipe.shots) >= {5, 20, "full"}


def test_near_targets_are_a_source_at_the_other_site_and_far_ones_share_no_label_word():
    tasks = {name: load_task(name) for name in catalog() if load_task(name).data.reader == "synthetic"}
    sources = [task for task in tasks.values() if task.group == "source"]
    words = {task.words(label) for task in sources for label in task.labels}
    for name, task in tasks.items():
        if task.group == "near":
            source = tasks[name.removesuffix("-site-b")]
            same = ("kind", "codec", "instruction", "labels", "verbalizer", "relations", "metrics")
            assert all(getattr(task, key) == getattr(source, key) for key in same)
            assert (source.data.options["site"], task.data.options["site"]) == ("A", "B")
        if task.group == "far":
            assert not {task.words(label) for label in task.verbalizer} & words
            assert task.instruction not in {source.instruction for source in sources}


def test_every_synthetic_task_is_on_the_page_of_the_suite():
    page = (ROOT / "docs" / "concepts" / "embedded-suite.md").read_text(encoding="utf-8")
    recipe = load_config(SUITE, Recipe, {})
    assert recipe.sources is not None
    assert not [name for name in (*recipe.sources.tasks, *recipe.targets) if f"`{name}`" not in page]
