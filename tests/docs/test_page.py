"""The guide to the page: its commands as a user types them, and the correction that it shows."""

from __future__ import annotations

import json
import re
import shlex

from clinprompt.serving.right_answer import CorrectionRequest, corrected
from clinprompt.stages.banked import open_bank
from clinprompt.stages.corrections import Corrections
from tests.cli.conftest import clinprompt  # noqa: F401 (the command line as a fixture)

QUICK = {
    "adapt": ("--set", "method.budget.steps=2", "--set", "method.budget.dev_limit=2"),
    "renew": ("--set", "budget.steps=2", "--set", "resamples=100", "--set", "answer_tokens=4", "--status", "now.json"),
}


def test_the_guide_is_true(repository, tmp_path, monkeypatch, clinprompt):  # noqa: F811
    page = (repository / "docs" / "guides" / "page.md").read_text(encoding="utf-8")
    blocks = [block.strip() for block in page.split("```")[1::2]]
    [sent] = [json.loads(re.search(r"'(.*)'", block, re.DOTALL)[1]) for block in blocks if block.startswith("curl")]
    commands = [line for block in blocks if not block.startswith("curl") for line in block.splitlines()]
    assert len(commands) == 6
    (tmp_path / "examples").symlink_to(repository / "examples")
    monkeypatch.chdir(tmp_path)
    said = {}
    for line in commands:
        name = line.split()[1]
        if name == "serve":  # what a person then does on the page
            task = open_bank(tmp_path / "bank").find("meds").card.task
            for more in ("", " once", " today"):
                body = CorrectionRequest.model_validate({**sent, "note": sent["note"] + more})
                Corrections(tmp_path / "corrections").save(task, corrected(body, task, slots={"note"}))
            continue
        ended = clinprompt(*shlex.split(line)[1:], *QUICK.get(name, ()), "--json")
        assert ended.code == 0, (line, ended.err)
        said[name] = json.loads(ended.out)
    made = said["renew"]
    assert (made["prompt"], made["before"], made["notes"], made["compared"]["notes"]) == ("meds@2", "meds@1", 3, 3)
    assert json.loads((tmp_path / "now.json").read_text())["name"] == "score"
    assert open_bank(tmp_path / "bank").find("meds").reference == "meds@2"


def test_renew_refuses_in_one_paragraph(tmp_path, repository, monkeypatch, clinprompt):  # noqa: F811
    ended = clinprompt("renew", "meds", "--bank", str(tmp_path), "--corrections", str(tmp_path / "none"))
    assert ended.code == 2 and "error:" in ended.err and "Traceback" not in ended.err
    ended = clinprompt("adapt", str(tmp_path), "--from", "bank:meds", "--method", "lora")
    assert ended.code == 2 and "start_from" in ended.err
