"""The guide to studies: its commands as a user types them, on a smaller copy of the example."""

from __future__ import annotations

import json
import re
import shlex

from clinprompt.study.study_file import Study
from tests.cli.conftest import clinprompt  # noqa: F401 (the command line as a fixture)

QUICK = ("seeds=[1]", "draws=1", "limits={train: 8, dev: 2, test: 2}", "score={limit: 2, answer_tokens: 4, resamples: 100}",
         "leakage={notes: 20}", "search.trials=1")  # fmt: skip


def test_the_guide_is_true(repository, tmp_path, monkeypatch, clinprompt):  # noqa: F811
    page = (repository / "docs" / "guides" / "study.md").read_text(encoding="utf-8")
    monkeypatch.chdir(repository)
    sets = [word for text in QUICK for word in ("--set", text)]
    at = ["--runs", str(tmp_path / "runs"), "--out", str(tmp_path / "out")]
    said = []
    for line in re.findall(r"```\n(.*?)```", page, flags=re.DOTALL)[0].splitlines():
        ended = clinprompt(*shlex.split(line)[1:], *sets, *at, "--json")
        assert ended.code == 0, (line, ended.err)
        said.append(json.loads(ended.out))
    plan, run, report = said
    assert plan["seconds"] > 0 and run["done"] == run["gangs"] == 3 and report["missing"] == 0
    section = page.split("## The report")[1]
    for name in re.findall(r"^\| `(.+?)`", section, flags=re.MULTILINE):
        assert (tmp_path / "out" / name.rstrip("/")).exists(), name
    fields = re.findall(
        r"`(\w+)`",
        " ".join(
            re.findall(r"^\| (.*?) \|", page.split("## What the file says")[1].split("##")[0], flags=re.MULTILINE)
        ),
    )
    assert set(fields) == set(Study.model_fields) - {"name", "description", "data_root", "prompt", "metaprompts"}
