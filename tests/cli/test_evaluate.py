from __future__ import annotations

import csv
import json
import re

from tests.made_backbones import tiny_folder
from tests.made_notes import write_notes

TASK = """
name: meds
kind: entities
codec: entities
instruction: extract drug, dose.
labels: [Drug, Dose]
metrics: [span-f1, {metric}]
"""
KINDS = ("correct", "boundary", "type", "boundary_type", "missed", "spurious")


def test_errors_are_shown_and_written_with_every_metric_of_the_task(tmp_path, monkeypatch, clinprompt):
    monkeypatch.chdir(tmp_path)
    write_notes(tmp_path / "notes")
    for file in (tmp_path / "notes").glob("*.ann"):
        file.write_text("".join(line for line in file.read_text().splitlines(keepends=True) if line.startswith("T")))
    tiny_folder(tmp_path / "tiny")
    (tmp_path / "misspelt.yaml").write_text(TASK.format(metric="span-f1-lenint"))
    refused = clinprompt("data", "import", "notes", "-o", "data", "--task", "misspelt.yaml")
    assert refused.code == 2 and "Did you mean span-f1-lenient" in re.sub(r"\s+", " ", refused.err)

    (tmp_path / "meds.yaml").write_text(TASK.format(metric='"span-f1:n2c2-2018"'))
    assert clinprompt("data", "import", "notes", "-o", "data", "--task", "meds.yaml").code == 0
    adapted = clinprompt("adapt", "data", "-b", "tiny", "--method", "prompt-tuning", "--set", "method.budget.steps=1")
    assert adapted.code == 0, adapted.err
    run = next(tmp_path.glob("runs/adapt/*"))
    command = ("evaluate", "data", "-b", "tiny", "-p", str(run), "--set", "answer_tokens=4", "--set", "resamples=100")
    shown = clinprompt(*command)
    assert shown.code == 0, shown.err
    assert "Errors" in shown.out + shown.err and "boundary_type" in shown.out + shown.err

    result = json.loads(clinprompt(*command, "--json").out)
    [cell] = result["cells"]
    assert [score["metric"] for score in cell["scores"]] == ["span-f1", "span-f1:n2c2-2018"]
    [file] = tmp_path.glob("runs/evaluate/*/outputs/**/errors.csv")
    with file.open(newline="") as lines:
        rows = list(csv.DictReader(lines))
    assert [{**row, **{kind: int(row[kind]) for kind in KINDS}} for row in rows] == cell["errors"]
    gold = sum(int(row[kind]) for row in rows for kind in KINDS if kind != "spurious")
    [counts] = tmp_path.glob("runs/evaluate/*/outputs/**/counts.json")
    assert gold == sum(row[2] for row in json.loads(counts.read_text())["span-f1"].values())
    items = (file.parent / "error-items.csv").read_text().splitlines()
    assert len(items) - 1 == sum(int(row[kind]) for row in rows for kind in KINDS if kind != "correct") > 2
    assert cell["mistakes"] == []
    asked = clinprompt(*command, "--mistakes", "2", "--json")
    [cell] = json.loads(asked.out)["cells"]
    assert [",".join(one.values()) for one in cell["mistakes"]] == items[1:3]
    assert "Mistakes: meds" in asked.err and "gold_place" in asked.err
