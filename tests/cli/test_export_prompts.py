from __future__ import annotations

import json

import pytest

from clinprompt.stages.configs import BackboneSettings
from clinprompt.stages.opened import open_backbone
from clinprompt.tasks.template import TEMPLATES
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


def test_prompts_of_a_bank_are_exported(clinprompt, files, tmp_path):
    folder, prompts = files
    bank, key, given = str(tmp_path / "bank"), tmp_path / "bank.key", ("--backbone", folder, "--json")
    key.write_text("5f" * 32 + "\n")
    for file in (prompts["suffix"], prompts["suffix"]):
        assert clinprompt("bank", "add", bank, file, "--name", "meds").code == 0
    export = ("export", f"{bank}:meds@2", "--to", "vllm-embeds", *given)
    ended = clinprompt(*export, "-o", str(tmp_path / "two"))
    assert ended.code == 0 and json.loads(ended.out)["prompts"] == ["meds@2"]
    ended = clinprompt(*export, "-o", str(tmp_path / "signed"), "--bank-key", str(key))
    assert ended.code == 2 and "sign" in ended.err and not (tmp_path / "signed").exists()
    assert clinprompt("bank", "sign", bank, "--key", str(key)).code == 0
    assert clinprompt(*export, "-o", str(tmp_path / "signed"), "--bank-key", str(key)).code == 0
    for name, words in ((f"{bank}:nothing", "nothing"), (f"{bank}:meds@9", "no version 9")):
        ended = clinprompt("export", name, *export[2:], "-o", str(tmp_path / "none"))
        assert ended.code == 2 and words in ended.err and "Traceback" not in ended.err
    plain = clinprompt("export", prompts["suffix"], *export[2:], "-o", str(tmp_path / "none"), "--bank-key", str(key))
    assert plain.code == 2 and "has no signature" in plain.err


def test_the_template_of_an_import_is_the_one_given(clinprompt, files, tmp_path):
    folder, prompts = files
    given = ("--backbone", folder, "--json")
    assert clinprompt("export", prompts["prefix"], "--to", "peft", "-o", str(tmp_path / "peft"), *given).code == 0
    saved = tmp_path / "peft" / "medications"

    def card(name, *more):
        ended = clinprompt("import", str(saved), "-o", str(tmp_path / name), *given, *more)
        return json.loads(ended.out)["card"]

    own = card("a.safetensors")["template"]
    other = next(name for name in TEMPLATES if name != own)
    ended = clinprompt("import", str(saved), "-o", str(tmp_path / "b.safetensors"), *given, "--template", other)
    assert ended.code == 2 and "trained with the template" in ended.err and not (tmp_path / "b.safetensors").exists()
    for file in saved.iterdir():  # as peft alone saves it
        if file.name not in ("adapter_config.json", "adapter_model.safetensors"):
            file.unlink()
    task = ("--task", "medications")
    assert card("c.safetensors", *task, "--template", other)["template"] == other
    assert card("d.safetensors", *task)["template"] == own
    ended = clinprompt("import", str(saved), "-o", str(tmp_path / "e"), *given, "--task", "medications",
                       "--template", "none-such")  # fmt: skip
    assert ended.code == 2 and "none-such" in ended.err


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
