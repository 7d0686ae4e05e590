"""The guide to other engines: its commands as a user types them, then its two programs."""

from __future__ import annotations

import re
import shlex

import pytest
import torch
from safetensors.torch import load_file

from tests.cli.conftest import clinprompt  # noqa: F401 (the command line as a fixture)


@pytest.mark.filterwarnings("ignore:.*is_gradient_checkpointing:FutureWarning")
def test_the_guide_is_true(repository, tmp_path, monkeypatch, clinprompt):  # noqa: F811
    page = (repository / "docs" / "guides" / "export.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```(\w*)\n(.*?)```", page, flags=re.DOTALL)
    assert [kind for kind, _ in blocks] == ["", "python", "python"]
    (tmp_path / "examples").symlink_to(repository / "examples")
    monkeypatch.chdir(tmp_path)
    for line in blocks[0][1].splitlines():
        quick = ("--set", "method.budget.steps=2", "--set", "method.budget.dev_limit=2", "--shots", "2")
        ended = clinprompt(*shlex.split(line)[1:], *(quick if " adapt " in line else ()), "--json")
        assert ended.code == 0, ended.err
    again, prefix = (
        load_file(tmp_path / name)["vectors"] for name in ("again.safetensors", "prefix/my-meds.safetensors")
    )
    assert torch.equal(again, prefix)
    names: dict = {}
    exec(blocks[1][1], names)
    assert names["out"].shape[1] > names["ids"].shape[1] and "<my-meds" not in names["answer"]
    assert names["ids"].max() >= names["prompt"].first
    exec(blocks[2][1], names)
    assert names["tuned"].active_peft_config.num_virtual_tokens == len(prefix)
