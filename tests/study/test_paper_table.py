"""The tables of a paper: what stands under them, and means over backbones."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from clinprompt.study.archive import GangRecord
from clinprompt.study.legend import NO_WIDTH, OVER_BACKBONES, SEEN
from clinprompt.study.paper_table import latex, paper_tables
from clinprompt.study.study_report import report_study
from tests.study.made_parts import few_lines, made_parts, made_study


def changed(lines, place, **fields):
    """The lines with other fields of the one of a method, target and shots."""
    return [
        replace(line, **fields) if (line.method, line.target, line.shots) == place else line for line in lines
    ]  # fmt: skip


MPT = ("mpt", "lab-flag", "5")


def rows(table, title):
    [block] = [block for block in table.blocks if block.title == title]
    return {one.row.method: one for one in block.rows}


def test_latex_says_what_its_numbers_rest_on():
    lines = changed(few_lines(), MPT, leakage=2, seeds=2)
    [one] = made_parts(made_study(), lines)
    gang = GangRecord("k", "small", "mpt", 1, "a", "e", engine="clinprompt, local", dtype="float32",
                      versions={"torch": "2.1"})  # fmt: skip
    [table] = paper_tables([replace(one, records={"k": gang})])
    text = latex(table, caption="made")
    head, below, *_ = text[text.index("method &") :].splitlines()
    assert head.startswith("method & seeds & draws & ") and below.startswith("n (documents) &  &  & 200 (180) & ")
    assert below.count("200 (180)") == 6
    [mpt] = [row for row in text[text.index("5 shots") :].splitlines() if row.startswith("mpt & ")]
    assert mpt.startswith("mpt & 1--2 & 3 & ") and mpt.count("$^\\dagger$") == 2  # the target's and the mean
    note = text[text.index("\\begin{minipage}") :]
    assert f"$^\\dagger$: {SEEN}." in note and "intervals are over documents, seeds and draws" in note
    assert "engine clinprompt, local; dtype float32; versions torch 2.1" in note
    counts = {row.count(" & ") for row in text.splitlines() if row.endswith("\\\\") and "multicolumn" not in row}
    assert counts == {head.count(" & ")}


def test_an_interval_without_width_is_explained_where_there_is_one(tmp_path):
    study = made_study()
    assert NO_WIDTH not in paper_tables(made_parts(study))[0].notes
    found = made_parts(study, changed(few_lines(), MPT, score=0.0, low=0.0, high=0.0))
    [table] = paper_tables(found)
    assert table.notes == [NO_WIDTH] and "such as [0.0--0.0], says nothing" in latex(table, caption="c")
    report_study(tmp_path, study, found, [], command="c")
    for page in (tmp_path / "report.html", tmp_path / "parts" / "small" / "report.html"):
        assert page.read_text().count(NO_WIDTH) == 1


def test_the_mean_over_backbones_is_of_scores_and_resamples_of_all_of_them():
    study = made_study(backbones=("small", "large"))
    better = [replace(line, score=line.score + 10 * (line.method == "mpt")) for line in few_lines()]
    [table] = paper_tables(made_parts(study, few_lines(), better))
    assert table.notes == [OVER_BACKBONES]
    small, large, mean = (rows(table, f"{of}: 5 shots") for of in ("small", "large", "mean over small, large"))
    place = [column.target for column in table.columns].index("lab-flag")
    one, two, both = (own["mpt"].row.entries[place].line for own in (small, large, mean))
    assert both.score == pytest.approx((one.score + two.score) / 2) and two.score == one.score + 10
    assert (both.n, both.documents, both.seeds, both.draws) == (200, 180, 1, 3)
    assert mean["mpt"].mean.score == pytest.approx((small["mpt"].mean.score + large["mpt"].mean.score) / 2)
    assert mean["mpt"].mean.low < mean["mpt"].mean.score < mean["mpt"].mean.high and mean["mpt"].cost is None
    without_cost = [one.row.method for one in table.rows if one.cost is None]
    assert len(without_cost) == 2 + 4 and "trivial" not in without_cost  # of 0 shots and of 5
    assert latex(table, caption="c").count(" & -- & -- & -- & -- ") == len(without_cost)


def test_backbones_that_are_alike_have_their_own_interval_as_the_mean():
    """Documents and runs are the same for both: nothing is gained by asking twice."""
    [table] = paper_tables(made_parts(made_study(backbones=("small", "large"))))
    found = made_parts(made_study())[0].result
    own = {(line.method, line.shots): line for line in found.groups.lines if line.group == "all"}
    for method, row in rows(table, "mean over small, large: 5 shots").items():
        mean, alone = row.mean, own[method, "5"]
        assert (mean.score, mean.low, mean.high) == pytest.approx((alone.score, alone.low, alone.high))


def test_there_is_no_mean_over_backbones_of_what_they_do_not_share():
    study = made_study(backbones=("small", "large"))
    fewer = [line for line in few_lines() if (line.method, line.target, line.shots) != MPT]
    others = changed(few_lines(), ("lora", "lab-flag", "5"), n=110)
    for lines, method in ((fewer, "mpt"), (others, "lora")):
        [table] = paper_tables(made_parts(study, few_lines(), lines))
        row = rows(table, "mean over small, large: 5 shots")[method]
        lacking = [entry is None for entry in row.row.entries]
        assert np.sum(lacking) == 1 and row.mean is None
        assert [column.target for column, none in zip(table.columns, lacking, strict=True) if none] == ["lab-flag"]
    small, large = made_parts(study)
    [table] = paper_tables([small, replace(large, result=None)])
    assert not [block for block in table.blocks if "mean over" in block.title]
    drawn = {
        place: replace(own, runs=tuple((2, draw) for _, draw in own.runs)) for place, own in large.result.drawn.items()
    }
    [table] = paper_tables([small, replace(large, result=replace(large.result, drawn=drawn))])  # other seeds
    assert not [block for block in table.blocks if "mean over" in block.title]


def test_means_are_told_apart_by_what_else_varies():
    study = made_study(backbones=("small", "large"), lengths=[3, 5])
    [table] = paper_tables(made_parts(study))
    titles = dict.fromkeys(block.title.rpartition(": ")[0] for block in table.blocks)
    assert list(titles)[-2:] == ["mean over small, large, length 3", "mean over small, large, length 5"]
