"""A whole job on a tiny random encoder, its results on one site scored at the other too."""

import csv
import re

import pytest

from clinprompt.backbones.tiny import write_tiny
from clinprompt.schema.example import Split
from clinprompt.stages.configs import BackboneSettings, PromptSettings
from clinprompt.stages.methods import Budget, Mpt, PromptTuning
from clinprompt.stages.opened import open_backbone
from clinprompt.study.gang import across_name
from clinprompt.study.group_table import ALL
from clinprompt.study.job import run_job, write_table
from clinprompt.study.recipe import Recipe, Scoring, Sources
from clinprompt.study.score_table import TRIVIAL, score_table
from clinprompt.study.story import report_job
from tests.made_backbones import change_json

# Scorers that learn this fast soon find next to nothing; fresh ones find heads everywhere and then ask about them all.
SHORT = Budget(steps=2, batch=2, rates=(0.1,), dev_limit=2, warmup=0, head_rate=0.3)
SITE_A, SITE_B = "cause-of-event", "cause-of-event-site-b"


@pytest.fixture(scope="module")
def recipe(tmp_path_factory):
    # Letters are tokens of the tiny model, and this family's positions need no table that would be too short for them.
    folder = write_tiny(tmp_path_factory.mktemp("backbone") / "modern", family="modernbert")
    change_json(folder / "config.json", max_position_embeddings=1024)
    return Recipe(
        name="encoders",
        backbone=BackboneSettings(path=str(folder), head_width=8),
        prompt=PromptSettings(length=4, placement="prefix"),
        sources=Sources(tasks=("medications", "problems"), teach=SHORT, distill=SHORT),
        targets=(SITE_A, SITE_B),
        limits={"train": 2, "dev": 2, "test": 2},
        methods={
            "soft prompt, frozen": PromptTuning(budget=SHORT),
            "mpt": Mpt(budget=SHORT),
        },
        across={SITE_A: (SITE_B,), SITE_B: (SITE_A,)},
        compare={"mpt": ("soft prompt, frozen",)},
        score=Scoring(limit=2, resamples=100),
    )


@pytest.fixture(scope="module")
def result(recipe, tmp_path_factory):
    return run_job(recipe, runs=tmp_path_factory.mktemp("runs"), opened=open_backbone(recipe.backbone))


def test_every_method_is_scored_on_its_own_site_and_on_the_other(result, recipe):
    found = {(line.method, line.target) for line in result.lines}
    for target, other in ((SITE_A, SITE_B), (SITE_B, SITE_A)):
        assert (TRIVIAL, target) in found
        for method in recipe.methods:
            assert {(method, target), (method, across_name(target, other))} <= found
    assert {line.group for line in result.lines if " on " in line.target} == {"across"}


def test_what_is_scored_elsewhere_reads_the_other_sites_notes(result):
    def examples(target, name):
        [cell] = [cell for cell in result.cells if cell.method == "mpt" and cell.record["task"] == name]
        lines = (cell.folder / "predictions.jsonl").read_text().splitlines()
        assert len(lines) == cell.record["scores"][0]["n"] == 2
        return {one.id for one in result.targets[target].part(Split.test)[:2]}, lines

    for name, place in ((SITE_A, SITE_A), (across_name(SITE_A, SITE_B), SITE_B)):
        ids, lines = examples(place, name)
        assert all(any(f'"{one}"' in line for line in lines) for one in ids)


def test_relations_are_scored_with_annotated_heads_too(result):
    cells = [cell for cell in result.cells if cell.method != TRIVIAL]
    assert len(cells) == 2 * 4 and all(cell.record["gold_heads"] for cell in cells)


def test_what_is_given_the_heads_stands_beside_what_is_end_to_end_and_counts_nowhere_else(result, recipe):
    end_to_end = [line for line in result.lines if line.method != TRIVIAL]
    places = [(line.method, line.target, line.shots) for line in end_to_end]
    assert [(line.method, line.target, line.shots) for line in result.given_heads] == places and len(places) == 2 * 4
    assert {line.metric for line in end_to_end} == {"relation-f1 end to end"}
    assert {line.metric for line in result.given_heads} == {"relation-f1 given the heads"}
    assert {line.metric for line in result.lines if line.method == TRIVIAL} == {"relation-f1"}
    assert {column.metric for column in score_table(result.lines).columns} == {"relation-f1 end to end"}
    in_groups = [name for group, names in result.groups.groups.items() if group != ALL for name in names]
    assert sorted(in_groups) == sorted({line.target for line in result.lines})  # each once


def test_the_table_is_written(result, recipe, tmp_path):
    write_table(tmp_path, result)
    table = list(csv.DictReader((tmp_path / "table.csv").read_text().splitlines()))
    assert across_name(SITE_A, SITE_B) in {row["target"] for row in table}
    assert [row["metric"] for row in table[len(result.lines) :]] == ["relation-f1 given the heads"] * 8


def test_the_report_shows_both_side_by_side(result, recipe, tmp_path):
    report_job(tmp_path / "report.html", recipe, result, command="clinprompt run", seconds=1)
    page = (tmp_path / "report.html").read_text("utf-8")
    section = page[page.index('<h2 id="heads">') :].split("</section>")[0]
    words = " ".join(re.sub(r"<[^>]+>", " ", section).split())
    for line, given in zip(result.lines[-8:], result.given_heads, strict=True):
        shown = (
            f"{line.score:.1f} [{line.low:.1f}–{line.high:.1f}] {given.score:.1f} [{given.low:.1f}–{given.high:.1f}]"
        )
        assert f"{line.target} {line.method} full {shown}" in words


def test_a_finished_job_is_reused(recipe, result, monkeypatch):
    monkeypatch.setattr("clinprompt.training.loop._Loop.advance", lambda *_: pytest.fail("something was trained anew"))
    again = run_job(recipe, runs=result.teach.path.parents[1], opened=open_backbone(recipe.backbone))
    assert again.lines == result.lines
