"""The README's second example and the demo, as a user types them, on the backbone and metaprompt that ship."""

import json
import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from clinprompt.backbones.loading import embedded_metaprompt
from clinprompt.data.readers import brat

ROOT = Path(__file__).parents[2]


def commands():
    """The `clinprompt` lines of the README's code block on one's own notes."""
    text = (ROOT / "README.md").read_text()
    block = text.split("## Your own notes")[1].split("```")[1]
    return [line for line in block.splitlines() if line.startswith("clinprompt")]


def typed(line, folder, *more):
    arguments = [sys.executable, "-m", "clinprompt.cli.main", *shlex.split(line)[1:], *more]
    return subprocess.run(
        arguments, cwd=folder, capture_output=True, text=True, env=os.environ | {"PYTHONPATH": str(ROOT / "src")}
    )


@pytest.fixture
def home(tmp_path):
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    return tmp_path


def test_own_notes_become_predictions_in_at_most_five_commands(home):
    lines = commands()
    assert 3 <= len(lines) <= 5
    for line in lines:
        shorter = ["--set", "method.budget.steps=30"] if line.startswith("clinprompt adapt") else []
        done = typed(line, home, *shorter, "--json")
        assert done.returncode == 0, done.stderr
    scores = json.loads(typed(lines[2], home, "--json").stdout)["cells"][0]["scores"]
    assert scores[0]["metric"] == "span-f1" and scores[0]["n"] >= 15
    texts = {path.stem: path.read_bytes().decode() for path in (ROOT / "examples" / "new-notes").glob("*.txt")}
    predicted = brat.read(home / "predicted")  # the reader checks every surface against its offsets
    assert {document.id: document.text for document in predicted} == texts
    assert sum(len(document.spans) for document in predicted) > 0
    assert {span.label for document in predicted for span in document.spans} <= {"Drug", "Dosage", "Reason"}


def test_the_metaprompt_that_ships_belongs_to_the_backbone_that_ships():
    assert embedded_metaprompt().is_file()


def test_the_demo_runs_through_and_writes_table_report_and_notes(home):
    short = [
        f"{name}={value}"
        for name, value in {
            "limits": "{train: 20, dev: 4, test: 6}",
            "sources.teach.steps": 3,
            "sources.distill.steps": 3,
            "score.limit": 6,
            "shots": "[5]",
            **{f"methods.{name}.budget.steps": 2 for name in ("mpt", "prompt-tuning", "lora", "fine-tuning")},
        }.items()
    ]
    done = typed("clinprompt demo --out out", home, *[word for text in short for word in ("--set", text)])
    assert done.returncode == 0, done.stderr
    assert "medication-statements-site-b" in done.stdout
    report = (home / "out" / "report.html").read_text()
    assert "<svg" in report and "fine-tuning" in report
    assert (home / "out" / "table.csv").read_text().count("\n") == 1 + 5 * 6
    assert len(list((home / "out" / "predicted").glob("*.ann"))) == 5
