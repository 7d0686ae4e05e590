from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from clinprompt.metrics.intervals import mean_of_parts
from clinprompt.study.group_table import group_table
from clinprompt.study.replicates import Replicates, replicates
from clinprompt.study.table import lines
from clinprompt.tasks.catalog import load_task
from tests.study.made_cells import made_cell
from tests.study.story import line, made_up_lines, made_up_replicates


def test_a_mean_over_two_targets_by_hand():
    own = [
        line("mpt", "substance-use-site-b", "5", 40.0, trainable=10, runs=2),
        line("mpt", "cause-of-event-site-b", "5", 60.0, trainable=12, runs=2),
        line("mpt", "lab-flag", "5", 80.0, trainable=11, runs=2),
    ]
    drawn = {
        (found.method, found.target, found.shots): Replicates(
            ((1, 0),),
            np.full((1, 180, 1), found.score / 180),
            lambda total: total[..., 0],
            np.full(8, found.score + 1),
            np.zeros(8),
            np.full(8, found.score),
        )
        for found in own
    }
    table = group_table(own, drawn)
    assert [(found.group, found.score, found.low, found.high) for found in table.lines] == [
        ("near", 50.0, 51.0, 51.0), ("far", 80.0, 81.0, 81.0), ("all", 60.0, 61.0, 61.0)
    ]  # fmt: skip
    near = table.lines[0]
    assert (near.targets, near.n, near.documents, near.seeds, near.draws, near.trainable) == (2, 400, 360, 1, 2, 12)
    assert table.missing == ()


def test_a_group_of_one_target_has_the_targets_own_score_and_interval(tmp_path):
    task = load_task("cause-of-event-site-b")
    documents = {"p": [2, 2, 2], "q": [0, 2, 2], "r": [1, 1, 3]}
    others = {"p": [2, 2, 2], "q": [2, 2, 2], "r": [0, 1, 3]}
    cells = [
        made_cell(tmp_path, task, "mpt", 2, others),
        made_cell(tmp_path, task, "mpt", 1, documents),
        made_cell(tmp_path, task, "mpt", 1, others, draw=1),
    ]
    tasks = {task.name: task}
    [own] = lines(cells, tasks, resamples=300)
    [found] = group_table([own], replicates(cells, tasks, resamples=300)).lines
    assert own.low < own.score < own.high
    assert (found.group, found.score, found.low, found.high) == (own.group, own.score, own.low, own.high)


def test_the_interval_over_targets_is_narrower_than_over_one_by_the_root_of_their_number():
    own = np.random.default_rng(0).normal(50, 4, 4000)
    four = mean_of_parts([own] * 4)  # the same resamples, in an order of their own for each part
    assert four.std() == pytest.approx(4 / 2, rel=0.08)
    assert mean_of_parts([own]).mean() == pytest.approx(own.mean())


def test_a_target_without_a_score_is_named_and_its_group_has_no_mean():
    own = [found for found in made_up_lines() if (found.method, found.target) != ("lora", "lab-flag")]
    table = group_table(own, made_up_replicates(own))
    assert {found.group for found in table.lines if found.method == "lora"} == {"near"}
    assert {(found.method, found.group, found.targets) for found in table.missing} == {
        ("lora", "far", ("lab-flag",)), ("lora", "all", ("lab-flag",))
    }  # fmt: skip
    assert str(table.missing[0]) == "lora, far, 1 shot: no score for lab-flag"
    rows = {(row.method, row.shots): row.entries for row in table.rows()}
    assert [entry is None for entry in rows["lora", "5"]] == [True, False, True]


@pytest.mark.parametrize("group, expected", [("", ["all"]), ("near", ["near"])])
def test_targets_of_one_group_or_of_none_have_one_mean(group, expected):
    own = [dataclasses.replace(found, group=group) for found in made_up_lines()]
    assert list(group_table(own, made_up_replicates(own)).groups) == expected


def test_what_was_trained_elsewhere_is_in_no_mean_but_its_own():
    near = [found for found in made_up_lines() if found.group == "near"]
    across = [dataclasses.replace(found, target=f"{found.target} on b", group="across") for found in near]
    own = [*made_up_lines(), *across]
    plain = group_table(made_up_lines(), made_up_replicates(made_up_lines()))
    table = group_table(own, made_up_replicates(own))
    assert table.groups["all"] == plain.groups["all"]
    assert [found for found in table.lines if found.group != "across"] == list(plain.lines)
    assert list(group_table([*near, *across], made_up_replicates([*near, *across])).groups) == ["near", "across"]


def test_a_job_without_lines_has_no_groups():
    table = group_table([], {})
    assert table.groups == {} and table.rows() == [] and table.lines == ()
