"""The guide to long notes: its commands as a user types them, its ledger line and its file of headings."""

from __future__ import annotations

import json
import re
import shlex

from clinprompt.data.readers import brat
from clinprompt.data.sections import load_rules
from tests.cli.conftest import clinprompt  # noqa: F401 (the command line as a fixture)


def test_the_guide_is_true(repository, tmp_path, monkeypatch, clinprompt):  # noqa: F811
    page = (repository / "docs" / "guides" / "long-notes.md").read_text(encoding="utf-8")
    commands, record, rules = (block.partition("\n")[2] for block in page.split("```")[1::2])
    (tmp_path / "examples").symlink_to(repository / "examples")
    monkeypatch.chdir(tmp_path)
    for line in commands.splitlines():
        quick = {"adapt": ("--set", "method.budget.steps=2", "--set", "method.budget.dev_limit=2", "--shots", "2"),
                 "predict": ("--answer-tokens", "12")}.get(line.split()[1], ())  # fmt: skip
        ended = clinprompt(*shlex.split(line)[1:], *quick, "--json")
        assert ended.code == 0, ended.err
        if "sections" in line.split():
            found = {one["id"] for one in json.loads(ended.out)["sections"]}
            assert {"start", "hpi", "admission-medications", "family-history", "discharge-medications"} <= found
        if line.startswith("clinprompt predict"):
            result = json.loads(ended.out)
            assert result["truncated"] == 0 and result["windowed"] == 1
            assert "1 of 1 notes in several windows, 0 characters left out" in ended.err
    [line] = [json.loads(one) for one in (tmp_path / "spans" / "ledger.jsonl").read_text().splitlines()]
    # How many answers are cut depends on the training, which is shorter here than on the page.
    assert line | {"answers_cut": None} == json.loads(record) | {"answers_cut": None}
    [document] = brat.read(tmp_path / "spans")
    assert {span.attributes["section"] for span in document.spans} <= found
    (tmp_path / "own.yaml").write_text(rules)
    assert load_rules(tmp_path / "own.yaml")["home and work"] == "social-history"
    names = re.findall(r"^\| .* \| `(.+)` \|$", page, flags=re.MULTILINE)
    source = (repository / "src" / "clinprompt" / "inference" / "long_notes.py").read_text()
    assert len(names) == 6 and all(f'"{name}"' in source for name in names)
