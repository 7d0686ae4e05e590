"""A row per cell against records given by hand."""

from __future__ import annotations

import csv
import io
from dataclasses import replace

from clinprompt.evaluation.csv_text import csv_text
from clinprompt.stages.scores import COUNTS, GOLD_HEADS
from clinprompt.study.archive import GangRecord
from clinprompt.study.cell_line import CellLine, cell_lines
from clinprompt.study.expansion import parts_of
from clinprompt.study.score_table import TRIVIAL
from clinprompt.study.table import Cell
from tests.study.made_parts import few_lines, made_part, made_study

ACROSS = "lab-flag on labs"


def record(target, draw, value, **more):
    """What `evaluate` writes of a cell, as far as tables ask."""
    return {
        "task": target, "shots": "5", "draw": draw, "seed": 2, "method": "prompt-tuning", "trainable": 640, "rate": 3e-05,
        "loss": 1.23456, "dev_loss": None, "train_examples": 5, "file": "", "shown": None, "source": "",
        "kind": "question-answering", "group": "far", "report": {"unreadable": 2, "unlocated": 0},
        "scores": [{"metric": "accuracy", "value": value, "low": value - 5, "high": value + 5, "n": 40, "groups": 30}],
    } | more  # fmt: skip


def study_of_two_draws(folder):
    """A part of which one gang is done: two draws of one target, the second scored elsewhere and given the heads too."""
    study = made_study(across={"lab-flag": ["labs"]}, draws=2, seeds=[1, 2], ablation=None)
    [part] = parts_of(study)
    lines = [replace(line, leakage=3 * (line.method == "mpt")) for line in few_lines()]
    found = made_part(part, lines)
    [planned] = [one for one in found.gangs if (one.gang.method, one.gang.seed) == ("mpt", 2)]
    gang = GangRecord(
        planned.key, part.title, "mpt", 2, "adapt/a", "evaluate/b", elsewhere=(("lab-flag", "labs", "evaluate/c"),),
        seconds={"adapt": 12.5}, engine="clinprompt, local", dtype="float32", versions={"torch": "2", "peft": "1"},
        rates=(3e-05, 0.3),
    )  # fmt: skip
    given = record("lab-flag", 1, 60.0)
    given |= {
        "heads": "end to end",
        "gold_heads": [given["scores"][0] | {"value": 70.0}],
        "gold_heads_report": given["report"],
    }
    (folder / "heads" / GOLD_HEADS).mkdir(parents=True)
    (folder / "heads" / GOLD_HEADS / COUNTS).write_text("{}")
    cells = [
        Cell(TRIVIAL, 0, record("lab-flag", 0, 10.0), folder),
        Cell("mpt", 2, record("lab-flag", 0, 50.0), folder),
        Cell("mpt", 2, given | {"task": "imaging-statements"}, folder / "heads"),
        Cell("mpt", 2, record(ACROSS, 0, 40.0, group="across"), folder),
    ]
    assert found.result is not None
    return replace(found, records={planned.key: gang}, result=replace(found.result, cells=tuple(cells))), planned


def test_a_cell_is_a_row_with_the_key_of_its_configuration_and_all_that_it_rests_on(tmp_path):
    found, planned = study_of_two_draws(tmp_path)
    own, heads, across, gold = cell_lines(found)
    keys = {(one.target, one.shots, one.draw): one.key for one in planned.cells}
    assert own.key == across.key == keys["lab-flag", "5", 0] and own.gang == planned.key
    assert heads.key == gold.key == keys["imaging-statements", "5", 1] != own.key
    assert (own.method, own.trains, own.target, own.scored) == ("mpt", "prompt-tuning", "lab-flag", "lab-flag")
    assert (own.shots, own.draw, own.seed, own.score, own.low, own.high) == ("5", 0, 2, 50.0, 45.0, 55.0)
    assert (own.n, own.documents, own.unreadable, own.leakage, own.trainable) == (40, 30, 5.0, 3, 640)
    assert (own.steps, own.rate, own.tried) == (planned.configuration.method.budget.steps, 3e-05, "3e-05 0.3")
    assert (own.gang_adapt_seconds, own.gang_evaluate_seconds, own.storage_bytes) == (12.5, None, None)
    assert (own.engine, own.dtype, own.versions, own.evaluate) == (
        "clinprompt, local", "float32", "torch 2 peft 1", "evaluate/b"
    )  # fmt: skip


def test_what_is_scored_elsewhere_or_given_the_heads_too_has_a_row_of_its_own(tmp_path):
    _, heads, across, gold = cell_lines(study_of_two_draws(tmp_path)[0])
    assert (across.target, across.scored, across.evaluate) == ("lab-flag", "labs", "evaluate/c")
    assert (heads.metric, heads.score) == ("accuracy end to end", 60.0)
    assert (gold.metric, gold.score) == ("accuracy given the heads", 70.0)


def test_small_rates_keep_their_digits_and_what_is_not_there_is_empty(tmp_path):
    table = csv_text(cell_lines(study_of_two_draws(tmp_path)[0]), kind=CellLine)
    row = next(csv.DictReader(io.StringIO(table)))
    assert (row["rate"], row["loss"], row["dev_loss"], row["gang_evaluate_seconds"]) == ("0.00003000", "1.2346", "", "")
