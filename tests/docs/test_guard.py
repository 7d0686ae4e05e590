"""The guide to the server: its commands about keys and the audit log, one after the other, and its tables."""

from __future__ import annotations

import re
import shlex

from clinprompt.serving.audit_line import audit_secret
from clinprompt.serving.metrics import MOST_TASKS, Metrics
from tests.cli.conftest import clinprompt  # noqa: F401 (the command line as a fixture)
from tests.house.sources import PACKAGE
from tests.serving.audited import written


def section(repository, *titles):
    page = (repository / "docs" / "guides" / "serving.md").read_text(encoding="utf-8")
    parts = dict(re.findall(r"^## (.*?)\n(.*?)(?=^## |\Z)", page, flags=re.DOTALL | re.MULTILINE))
    return "".join(parts[title] for title in titles)


def test_the_commands_work(repository, tmp_path, monkeypatch, clinprompt):  # noqa: F811
    monkeypatch.chdir(tmp_path)
    written(tmp_path / "audit.jsonl", secret=audit_secret(tmp_path / "audit.secret", make=True))
    blocks = section(repository, "Keys and quotas", "Audit log").split("```")[1::2]
    commands = [line for block in blocks for line in block.splitlines() if line]
    assert len(commands) == 5
    for line in commands:
        ended = clinprompt(*shlex.split(line)[1:])
        assert ended.code == 0, (line, ended.err)


def test_the_codes_are_those_of_the_code(repository):
    text = section(repository, "Keys and quotas", "Audit log", "Limits")
    names = ("keys", "quotas", "limits", "audit")
    code = "".join((PACKAGE / "serving" / f"{name}.py").read_text(encoding="utf-8") for name in names)
    raised = set(re.findall(r"Refused\(\s*\d+,\s*\"(\w+)\"", code))
    assert len(raised) >= 11 and raised == {name for name in re.findall(r"`(\w+)`", text) if name in raised}


def test_the_metrics_are_those_of_the_code(repository):
    text = section(repository, "Metrics")
    metrics = Metrics(routes=("/",), tasks=set, running=lambda: 0, waiting=lambda: 0)
    made = {one.name + ("_total" if one.type == "counter" else "") for one in metrics.registry.collect()}
    assert set(re.findall(r"`(clinprompt_\w+)[`{]", text)) - {"clinprompt_"} == made and f"{MOST_TASKS:,}" in text
