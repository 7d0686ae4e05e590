"""The guide to the bank: its commands as a user types them, one after the other."""

from __future__ import annotations

import json
import shlex

from clinprompt.cli.bank import app
from tests.cli.conftest import clinprompt  # noqa: F401 (the command line as a fixture)

QUICK = {"adapt": ("--set", "method.budget.steps=2", "--set", "method.budget.dev_limit=2", "--shots", "2"),
         "predict": ("--answer-tokens", "4"),
         "evaluate": ("--limit", "2", "--set", "resamples=100", "--set", "answer_tokens=4")}  # fmt: skip


def test_the_guide_is_true(repository, tmp_path, monkeypatch, clinprompt):  # noqa: F811
    page = (repository / "docs" / "guides" / "bank.md").read_text(encoding="utf-8")
    commands = [line for block in page.split("```")[1::2] for line in block.splitlines() if line]
    assert len(commands) == 17
    (tmp_path / "examples").symlink_to(repository / "examples")
    (tmp_path / "bank.key").write_text("5f" * 32 + "\n")
    monkeypatch.chdir(tmp_path)
    said = {}
    for line in commands:
        ended = clinprompt(*shlex.split(line)[1:], *QUICK.get(line.split()[1], ()), "--json")
        assert ended.code == 0, (line, ended.err)
        said[line] = json.loads(ended.out)
    [listed] = [found["prompts"] for line, found in said.items() if " list " in line]
    assert [(one["name"], one["version"], one["promoted"]) for one in listed] == [("meds", 1, False), ("meds", 2, True)]
    [back] = [found["prompt"]["version"] for line, found in said.items() if " rollback " in line]
    assert back == 1
    for folder, version in (("found", 1), ("found-signed", 3)):
        [made_by] = json.loads((tmp_path / folder / "provenance.json").read_text())["prompts"]
        assert (made_by["task"], made_by["prompt"], made_by["version"]) == ("meds", "meds", version)
    told = {command.name or command.callback.__name__ for command in app.registered_commands}
    assert told == {line.split("`")[1].split()[0] for line in page.splitlines() if line.startswith("| `")}
