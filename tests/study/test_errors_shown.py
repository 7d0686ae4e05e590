from __future__ import annotations

import json
from dataclasses import replace

from clinprompt.evaluation.csv_text import csv_text
from clinprompt.evaluation.errors_table import ErrorItem, ErrorLine
from clinprompt.stages.error_files import ERROR_ITEMS, ERRORS, read_errors
from clinprompt.study.errors_shown import choose_errors
from clinprompt.study.score_table import TRIVIAL
from clinprompt.study.table import lines as lines_of
from clinprompt.tasks.catalog import load_task
from tests.study.made_cells import made_cell

TASK = load_task("medications")
LINES = [ErrorLine("drug", 5, 1, 0, 2, 3, 4), ErrorLine("a, b", 0, 0, 1, 0, 0, 0)]


ITEMS = [ErrorItem("d1", "d1@0", "missed", "drug", "", f"{at}-{at + 3}", "") for at in range(25)]


def cell(folder, method, shots, value, lines):
    made = made_cell(folder, TASK, method, 1, {"d": [1, 1, 1]}, shots=shots)
    made.record["scores"][0]["value"] = value
    if lines is not None:
        (made.folder / ERRORS).write_text(csv_text(lines, kind=ErrorLine))
        (made.folder / ERROR_ITEMS).write_text(csv_text(ITEMS, kind=ErrorItem))
    return made


def test_the_best_method_at_the_largest_shot_count_is_shown(tmp_path):
    cells = [
        cell(tmp_path, TRIVIAL, "full", 99, None),
        cell(tmp_path, "mpt", "5", 90, LINES[:1]),
        cell(tmp_path, "mpt", "20", 60, LINES),
        cell(tmp_path, "lora", "20", 50, []),
    ]
    table = [
        replace(line, leakage=4 * (line.shots == "20"))
        for line in lines_of(cells, {TASK.name: TASK}, resamples=20)
        if line.method == "mpt"
    ]
    [shown] = choose_errors(cells, table)
    assert (shown.target, shown.method, shown.shots, shown.lines) == (TASK.name, "mpt", "20", tuple(LINES))
    assert shown.items == tuple(ITEMS[:20]) and shown.mistakes == 25 and shown.leakage == 4


def test_runs_without_an_error_table_are_left_out(tmp_path):
    made = cell(tmp_path, "mpt", "5", 90, None)
    assert read_errors(made.folder) == [] and choose_errors([made], []) == []
    assert json.loads((made.folder / "counts.json").read_text())
