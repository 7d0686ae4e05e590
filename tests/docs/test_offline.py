"""The guide to machines without a network: its commands as a user types them, without the wheels."""

from __future__ import annotations

import json
import re
import shlex

from clinprompt.cli.main import program
from tests.cli.conftest import clinprompt  # noqa: F401 (the command line as a fixture)

QUICK = {"adapt": ("--set", "method.budget.steps=2", "--set", "method.budget.dev_limit=2", "--shots", "2"),
         "bundle create": ("--no-wheels",), "predict": ("--answer-tokens", "2")}  # fmt: skip


def test_the_guide_is_true(repository, tmp_path, monkeypatch, clinprompt):  # noqa: F811
    page = (repository / "docs" / "guides" / "offline.md").read_text(encoding="utf-8")
    blocks = re.findall(r"^```(\w*)\n(.*?)^```$", page, flags=re.DOTALL | re.MULTILINE)
    commands = [line for kind, block in blocks if not kind for line in block.splitlines()]
    assert len(commands) == 7
    (tmp_path / "examples").symlink_to(repository / "examples")
    monkeypatch.chdir(tmp_path)
    for line in commands:
        words = shlex.split(line)
        quick = next((more for name, more in QUICK.items() if line.split(" ", 1)[1].startswith(name)), ())
        ended = clinprompt(*words[1:], *quick, "--json")
        assert ended.code == 0, (line, ended.err)
    assert len(list((tmp_path / "found").glob("*.ann"))) == 6
    held = json.loads((tmp_path / "site" / "bundle.json").read_text())["files"]
    assert {
        "docs/Dockerfile",
        "docs/compose.yaml",
        "docs/examples/clinprompt.service",
        "docs/docs/guides/offline.md",
    } <= set(held)
    for name in ("Dockerfile", "compose.yaml", "examples/clinprompt.service"):
        assert (tmp_path / "site" / "docs" / name).is_file()


def test_the_table_names_every_option(repository):
    page = (repository / "docs" / "guides" / "offline.md").read_text(encoding="utf-8")
    told = {
        word for line in page.splitlines() if line.startswith("| `--") for word in re.findall(r"`(--[a-z-]+)", line)
    }
    create = program().commands["bundle"].load().commands["create"]
    known = {parameter.opts[0] for parameter in create.params if parameter.opts[0].startswith("--")}
    assert known - told <= {"--bank-key", "--json", "--online", "--help"} and told - known <= {"--system"}
