from __future__ import annotations

import json

import pytest

from clinprompt.stages.configs import BackboneSettings
from clinprompt.stages.opened import open_backbone
from tests.made_backbones import tiny_folder
from tests.made_prompts import write_random_prompt


@pytest.fixture
def files(tmp_path):
    folder = str(tiny_folder(tmp_path / "backbone"))
    opened = open_backbone(BackboneSettings(path=folder))
    return folder, {
        placement: str(
            write_random_prompt(tmp_path / f"{placement}.safetensors", opened, task="medications", placement=placement)
        )
        for placement in ("prefix", "suffix")
    }


def test_there_and_back_by_the_command_line(clinprompt, files, tmp_path):
    folder, prompts = files
    given = ("--backbone", folder)
    ended = clinprompt("export", prompts["suffix"], "--to", "prompt-tokens", "-o", str(tmp_path / "served"), *given)
    assert ended.code == 0 and "medications@1" in ended.out and "tokens: 5" in ended.err
    assert "traces of the data" in ended.err
    ended = clinprompt("export", prompts["prefix"], "--to", "peft", "-o", str(tmp_path / "peft"), *given, "--json")
    assert json.loads(ended.out)["details"] == {"medications": "PROMPT_TUNING"}
    back = str(tmp_path / "back.safetensors")
    ended = clinprompt("import", str(tmp_path / "peft" / "medications"), "-o", back, *given, "--json")
    assert ended.code == 0 and json.loads(ended.out)["card"]["placement"] == "prefix"


def test_bad_input_is_one_paragraph(clinprompt, files, tmp_path):
    folder, prompts = files
    out = ("-o", str(tmp_path / "out"), "--backbone", folder)
    for arguments, words in (
        ((prompts["suffix"], "--to", "peft", *out), "prompt-tokens"),
        ((prompts["suffix"], "--to", "gguf", *out), "vllm-embeds"),
        ((str(tmp_path / "none"), "--to", "peft", *out), "no prompt file"),
    ):
        ended = clinprompt("export", *arguments)
        assert ended.code == 2 and words in ended.err and "Traceback" not in ended.err
    ended = clinprompt("import", str(tmp_path), *out)
    assert ended.code == 2 and "adapter_config.json" in ended.err
