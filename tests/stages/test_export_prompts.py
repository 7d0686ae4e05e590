"""What the stages of export and import refuse before anything is written."""

from __future__ import annotations

import os
import stat
from dataclasses import replace

import pytest

from clinprompt.backbones.tiny import write_tiny
from clinprompt.errors import InputError
from clinprompt.prompts.prompt_file import load_metaprompt, load_prompt, save_metaprompt, save_prompt
from clinprompt.stages.configs import BackboneSettings
from clinprompt.stages.export_prompts import EXPORTS, ExportSettings, export_prompts, origin_of
from clinprompt.stages.import_prompt import ImportPromptSettings, import_prompt
from clinprompt.stages.opened import open_backbone
from tests.made_backbones import tiny_folder
from tests.made_prompts import write_random_metaprompt, write_random_prompt


@pytest.fixture(scope="module")
def backbone(tmp_path_factory):
    settings = BackboneSettings(path=str(tiny_folder(tmp_path_factory.mktemp("llama"))))
    return settings, open_backbone(settings)


@pytest.mark.parametrize("to", EXPORTS)
def test_prompts_of_another_backbone_are_refused_by_every_format(to, backbone, tmp_path):
    settings, opened = backbone
    other = BackboneSettings(path=str(tiny_folder(tmp_path / "other", seed=1)))
    file = write_random_prompt(tmp_path / "p.safetensors", open_backbone(other), task="medications", placement="prefix")
    meta = write_random_metaprompt(tmp_path / "m.safetensors", open_backbone(other))
    for path in (file, meta):
        with pytest.raises(InputError, match="prompts do not carry over"):
            export_prompts(
                ExportSettings(backbone=settings, prompts=(path,), to=to, out=tmp_path / "out"), opened=opened
            )
    assert not (tmp_path / "out").exists()


def test_a_name_that_leads_out_of_the_folder_is_refused(backbone, tmp_path):
    settings, opened = backbone
    file = write_random_prompt(tmp_path / "p.safetensors", opened, task="medications", placement="prefix")
    prompt = load_prompt(file)
    save_prompt(file, replace(prompt, card=prompt.card.model_copy(update={"name": "../escaped"})))
    for to in EXPORTS:
        with pytest.raises(InputError, match="cannot be exported"):
            export_prompts(
                ExportSettings(backbone=settings, prompts=(file,), to=to, out=tmp_path / "out" / "in"), opened=opened
            )
    assert not (tmp_path / "out").exists()


def test_a_silent_metaprompt_is_refused(backbone, tmp_path):
    settings, opened = backbone
    meta = write_random_metaprompt(tmp_path / "m.safetensors", opened)
    found = load_metaprompt(meta)
    found.vectors.mul_(3)
    save_metaprompt(meta, found)
    with pytest.raises(InputError, match="does not act as it did"):
        export_prompts(
            ExportSettings(backbone=settings, prompts=(meta,), to="peft", out=tmp_path / "out"), opened=opened
        )


def test_a_folder_that_holds_something_is_left_alone(backbone, tmp_path):
    settings, opened = backbone
    file = write_random_prompt(tmp_path / "p.safetensors", opened, task="medications", placement="prefix")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "kept").write_text("mine")
    with pytest.raises(InputError, match="not empty"):
        export_prompts(
            ExportSettings(backbone=settings, prompts=(file,), to="peft", out=tmp_path / "out"), opened=opened
        )
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["kept"]


def test_encoders_have_no_prompts_for_others(backbone, tmp_path):
    encoder = BackboneSettings(path=str(write_tiny(tmp_path / "bert", family="bert")))
    with pytest.raises(InputError, match="without its scorers"):
        export_prompts(ExportSettings(backbone=encoder, prompts=(tmp_path / "p",), to="peft", out=tmp_path / "out"))
    with pytest.raises(InputError, match="this is an encoder"):
        import_prompt(ImportPromptSettings(backbone=encoder, folder=tmp_path, out=tmp_path / "p.safetensors"))


def test_the_tables_of_a_network_are_found(backbone):
    settings, opened = backbone
    origin = origin_of(settings.path, opened)
    assert (origin.embedding, origin.head) == ("model.embed_tokens.weight", "lm_head.weight")
    assert (origin.hidden, origin.heads, origin.layers, origin.tied) == (32, 4, 3, True)


def test_an_import_writes_over_nothing(backbone, tmp_path):
    settings, opened = backbone
    (tmp_path / "p.safetensors").write_text("mine")
    with pytest.raises(InputError, match="already"):
        given = ImportPromptSettings(backbone=settings, folder=tmp_path, out=tmp_path / "p.safetensors")
        import_prompt(given, opened=opened)


@pytest.mark.parametrize("to", EXPORTS)
def test_whom_the_mask_lets_read_files_may_read_prompts_and_exports(to, backbone, tmp_path):
    settings, opened = backbone
    before = os.umask(0o027)
    try:
        file = write_random_prompt(tmp_path / "p.safetensors", opened, task="medications", placement="prefix")
        given = ExportSettings(backbone=settings, prompts=(file,), to=to, out=tmp_path / "out")
        export_prompts(given, opened=opened)
    finally:
        os.umask(before)
    made = [file, *(path for path in (tmp_path / "out").rglob("*") if path.is_file() and path.stat().st_nlink == 1)]
    assert len(made) > 2 and {stat.S_IMODE(path.stat().st_mode) for path in made} == {0o640}
