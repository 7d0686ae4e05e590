"""Curves along what a study varies: each method once at a place, at the shots of the curve."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

from clinprompt.stages.methods import Instruction, Mpt
from clinprompt.study.axes import axis_drawings
from clinprompt.study.collection import PartResult
from clinprompt.study.expansion import parts_of
from clinprompt.study.group_table import ALL, GroupLine, GroupTable
from clinprompt.study.recipe import SourceTraining
from clinprompt.study.study_file import Partition, Study

SCORES = {("instruction", "0"): 10.0, ("mpt", "0"): 20.0, ("mpt", "5"): 50.0}


def with_results(part, more):
    lines = [
        GroupLine(method, ALL, shots, score + more, 0, 100, 1, 4, 4, 1, 1, 3 if shots == "5" else 0)
        for (method, shots), score in SCORES.items()
    ]
    return replace(part, result=SimpleNamespace(groups=GroupTable({ALL: ("t",)}, tuple(lines)), backbone_parameters=7))


def test_a_method_with_shots_stands_at_a_place_once_and_one_without_any_at_every_shot_count():
    study = Study(
        name="made", sources=SourceTraining(), source_counts=(1, 2), shots=(0, 5),
        tasks=Partition(sources=("medications", "problems"), targets=("lab-flag",)),
        methods={"instruction": Instruction(), "mpt": Mpt()},
    )  # fmt: skip
    parts = [PartResult(part, (), {}, None) for part in parts_of(study)]
    drawings = {one.name: one.words for one in axis_drawings([with_results(p, i) for i, p in enumerate(parts)])}
    words = drawings["sources-5"].partition(". ")[2]
    assert [point.partition(" [")[0] for point in words.split("; ")] == [
        "instruction at 1: 10.0", "mpt at 1: 50.0", "instruction at 2: 11.0", "mpt at 2: 51.0",
    ]  # fmt: skip
    assert drawings["cost-1-source-5"].count("mpt at") == 1
