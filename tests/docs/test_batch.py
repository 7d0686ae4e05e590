"""The guide to very many notes: its commands as a user types them."""

from __future__ import annotations

import json
import shlex

from clinprompt.cli.batch_options import PANEL
from clinprompt.data.readers import jsonl
from tests.cli.conftest import clinprompt  # noqa: F401 (the command line as a fixture)
from tests.house.test_commands import known_options

QUICK = {"adapt": ("--set", "method.budget.steps=2", "--set", "method.budget.dev_limit=2", "--shots", "2"),
         "predict": ("--answer-tokens", "6")}  # fmt: skip


def test_the_guide_is_true(repository, tmp_path, monkeypatch, clinprompt):  # noqa: F811
    page = (repository / "docs" / "guides" / "batch.md").read_text(encoding="utf-8")
    block = page.split("```")[1].partition("\n")[2]
    (tmp_path / "examples").symlink_to(repository / "examples")
    monkeypatch.chdir(tmp_path)
    said = []
    for line in block.splitlines():
        ended = clinprompt(*shlex.split(line)[1:], *QUICK.get(line.split()[1], ()), "--json")
        assert ended.code == 0, (line, ended.err)
        said.append(json.loads(ended.out))
    whole, first, second = said[2:]
    assert (whole["notes"], first["notes"], first["waiting"], second["notes"]) == (6, 4, 1, 6)
    assert (tmp_path / "found.jsonl").read_bytes() == (tmp_path / "shared.jsonl").read_bytes()
    assert len(jsonl.read(tmp_path / "found.jsonl")) == 6
    kept = {"examples", "tasks", "prompts", "runs", *(f"{name}.jsonl" for name in ("found", "shared"))}
    kept |= {f"{name}.jsonl.ledger.jsonl" for name in ("found", "shared")}
    assert {path.name for path in tmp_path.iterdir()} == kept


def test_every_option_of_the_panel_is_on_the_page(repository):
    from clinprompt.cli import batch_options

    page = (repository / "docs" / "guides" / "batch.md").read_text(encoding="utf-8")
    ours = [one.__metadata__[0] for one in vars(batch_options).values() if hasattr(one, "__metadata__")]
    assert len(ours) == 10 and all(one.rich_help_panel == PANEL for one in ours)
    options = known_options(["predict"])
    for name in ("shard", "shard-of", "processes", "executor", "server", "server-key", "at-once", "stop-on-failure",
                 "go-on", "most-failed", "retry-failed"):  # fmt: skip
        assert f"--{name}" in options and f"--{name}" in page
