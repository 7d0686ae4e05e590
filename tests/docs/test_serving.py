"""The guide to the server: its commands as a user types them, then its requests against that server."""

from __future__ import annotations

import json
import os
import re
import shlex
import signal

import httpx
import pytest

from clinprompt.serving.faults import _WHY
from tests.cli.conftest import clinprompt  # noqa: F401 (the command line as a fixture)
from tests.made_servers import serving
from tests.zygote import zygote

QUICK = {"adapt": ("--set", "method.budget.steps=2", "--set", "method.budget.dev_limit=2", "--shots", "2")}


@pytest.fixture
def page(repository):
    return (repository / "docs" / "guides" / "serving.md").read_text(encoding="utf-8")


def test_the_guide_is_true(page, repository, tmp_path, monkeypatch, clinprompt):  # noqa: F811
    blocks = re.findall(
        r"^```(\w*)\n(.*?)^```", page.partition("## Keys and quotas")[0], flags=re.DOTALL | re.MULTILINE
    )
    commands, curl, python = blocks[0][1].splitlines(), blocks[1][1], blocks[2][1]
    assert len(blocks) == 3 and blocks[2][0] == "python"
    (tmp_path / "examples").symlink_to(repository / "examples")
    monkeypatch.chdir(tmp_path)
    for line in commands[:-1]:
        ended = clinprompt(*shlex.split(line)[1:], *QUICK.get(line.split()[1], ()))
        assert ended.code == 0, (line, ended.err)
    words = shlex.split(commands[-1])[2:]
    words[words.index("8080")], words[words.index("bank")] = "0", str(tmp_path / "bank")
    process, address = serving(tmp_path / "server", *words, "--answer-tokens", "8")
    body = json.loads(shlex.split(curl)[-1])
    answer = httpx.post(f"{address}/v1/extract", json=body, timeout=60, trust_env=False)
    assert answer.status_code == 200 and answer.json()["results"][0]["tasks"][0]["task"] == "meds"
    said = []
    exec(python.replace("http://127.0.0.1:8080", address), {"print": said.append})
    assert len(said) == 2 and said[0] == said[1]
    os.kill(process.pid, signal.SIGTERM)
    assert zygote().wait(process) == 0


def test_every_reason_is_in_the_guide(page):
    assert {code for code, _ in _WHY.values()} <= set(re.findall(r"503 `(\w+)`", page))
