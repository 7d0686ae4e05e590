from __future__ import annotations

from dataclasses import replace

import pytest

from clinprompt.metrics.rankings import critical_difference
from clinprompt.study.drawings import ranks
from clinprompt.study.group_table import group_table
from clinprompt.study.rank_table import rank_table
from tests.study.story import made_up_lines, made_up_replicates


def ranked(lines):
    return rank_table(lines, group_table(lines, made_up_replicates(lines)))


def test_methods_stand_best_first_with_those_they_cannot_be_told_from():
    found = [row for row in ranked(made_up_lines()) if row.shots == "5"]
    assert {row.group for row in found} == {"all"}  # near and far have fewer than five targets
    assert [row.rank for row in found] == sorted(row.rank for row in found)
    assert {row.method for row in found} == {"mpt", "prompt-tuning", "lora", "fine-tuning"}
    assert found[0].critical_difference == pytest.approx(critical_difference(4, 6)) and found[0].targets == 6
    for row in found:
        near = {other.method for other in found if abs(other.rank - row.rank) < row.critical_difference}
        assert set(row.alike) == near - {row.method}
    # The same order on every target: Friedman's statistic is 6 (4 - 1) = 18.
    assert found[0].p == pytest.approx(0.000440, abs=1e-6) and [row.rank for row in found] == [1, 2, 3, 4]


def test_a_method_without_a_score_for_some_target_is_left_out():
    lines = [line for line in made_up_lines() if (line.method, line.target) != ("lora", "lab-flag")]
    assert {row.method for row in ranked(lines)} == {"mpt", "prompt-tuning", "fine-tuning"}
    assert ranked([line for line in lines if line.method != "mpt"]) == []  # two methods are left


def test_the_drawing_has_every_method_inside_and_a_bar_per_set_that_cannot_be_told_apart(tmp_path):
    own = [row for row in ranked(made_up_lines()) if row.shots == "5"]
    own = [replace(row, method=f"{row.method} with a name that is long", rank=rank)
           for row, rank in zip(own, (1.2, 1.9, 2.1, 3.9), strict=True)]  # fmt: skip
    own = [replace(row, critical_difference=1.0) for row in own]
    drawn = ranks(own, name="ranks")
    drawn.write(tmp_path)
    assert (tmp_path / "ranks.png").stat().st_size > 5000
    svg = (tmp_path / "ranks.svg").read_text()
    assert all(f"{row.method} ({row.rank:.2f})" in svg for row in own)
    axes, other = drawn.figure.axes
    assert [bar.get_segments()[0][:, 0].round(2).tolist() for bar in axes.collections] == [[1.16, 2.14]]
    shown = [label for one in (axes, other) for label in one.get_yticklabels() if label.get_text()]
    boxes = [label.get_window_extent() for label in shown]
    assert len(shown) == 4 and all(box.x0 >= 0 and box.x1 <= drawn.figure.bbox.x1 for box in boxes)
