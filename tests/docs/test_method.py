"""The page on methods: its commands as a user types them, one after the other."""

from __future__ import annotations

import json
import shlex

from clinprompt.schema.example import TaskKind
from clinprompt.stages.importing import import_data
from tests.cli.conftest import clinprompt  # noqa: F401 (the command line as a fixture)
from tests.made_backbones import tiny_folder
from tests.made_notes import write_notes

STEPS = {
    "teach": ("--set", "budget.steps=1", "--set", "budget.dev_limit=2"),
    **dict.fromkeys(
        ("spot", "attention", "routing", "prompt-tuning"),
        ("--set", "method.budget.steps=1", "--set", "method.budget.dev_limit=2"),
    ),
    "evaluate": ("--limit", "1", "--set", "resamples=100", "--set", "answer_tokens=4"),
}


def test_the_commands_of_the_baselines_work(repository, tmp_path, monkeypatch, clinprompt):  # noqa: F811
    page = (repository / "docs" / "concepts" / "method.md").read_text(encoding="utf-8")
    page = page[page.index("## attention") :]
    commands = [line for block in page.split("```")[1::2] for line in block.splitlines() if line]
    assert len(commands) == 9
    notes = write_notes(tmp_path / "notes")
    for name in ("meds", "doses", "routes"):
        import_data(notes, tmp_path / "tasks" / name, name=name, kind=TaskKind.entities, reader="brat", options={})
    backbone = str(tiny_folder(tmp_path / "backbone", context=4096))
    monkeypatch.chdir(tmp_path)
    alone = ("--set", "weight=0", "--set", "start=vocabulary", "--set", "budget.steps=1", "--set", "budget.dev_limit=2")
    ended = clinprompt("distill", "tasks/doses", "--backbone", backbone, *alone, "--json")
    metaprompt = json.loads(ended.out)["metaprompt"]  # of this backbone: the embedded one comes with its own
    run = ""
    for line in commands:
        words = shlex.split(line.replace("runs/adapt/RUN", run).replace("runs/teach/RUN", run))[1:]
        quick = (*next((given for name, given in STEPS.items() if name in words), ()), "--backbone", backbone)
        if "--shots" in words:
            words[words.index("--shots") + 1] = "2"  # there are few notes here
        if "method.segments=4" in words:
            words += ["--metaprompt", metaprompt]
        ended = clinprompt(*words, *quick, "--json")
        assert ended.code == 0, (line, ended.err)
        run = json.loads(ended.out).get("run", run)
    assert "<ans>" in (tmp_path / "shown" / "meds.txt").read_text()
    assert (tmp_path / "started" / "meds.safetensors").is_file()
