"""The guide to other engines that answer: its commands as a user types them, with an engine at the address."""

from __future__ import annotations

import json
import re
import shlex

import pytest

from tests.cli.conftest import clinprompt  # noqa: F401 (the command line as a fixture)
from tests.made_engine import CheckpointServer, listening


def test_the_guide_is_true(repository, tmp_path, monkeypatch, clinprompt):  # noqa: F811
    pytest.importorskip("ctranslate2")
    page = (repository / "docs" / "guides" / "gateway.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```(\w*)\n(.*?)```", page, flags=re.DOTALL)
    assert [kind for kind, _ in blocks] == ["", "bash", ""]
    (tmp_path / "examples").symlink_to(repository / "examples")
    monkeypatch.chdir(tmp_path)
    for line in blocks[0][1].splitlines():
        quick = ("--set", "method.budget.steps=2", "--set", "method.budget.dev_limit=2", "--shots", "2")
        ended = clinprompt(*shlex.split(line)[1:], *(quick if " adapt " in line else ()), "--json")
        assert ended.code == 0, ended.err
    server = CheckpointServer(tmp_path / "served", tmp_path / "ct2")
    [line] = blocks[2][1].splitlines()
    with listening(server.app) as url:
        assert "http://127.0.0.1:8000/v1" in line
        ended = clinprompt(*shlex.split(line.replace("http://127.0.0.1:8000/v1", url))[1:], "--json")
    assert ended.code == 0, ended.err
    assert json.loads(ended.out)["notes"] > 0 and server.asked
    made_by = json.loads((tmp_path / "found" / "provenance.json").read_text())
    assert made_by["engine"] == "openai" and made_by["questions"] == "token ids"
