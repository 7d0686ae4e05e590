from __future__ import annotations

import shutil

import pytest

from clinprompt.bundle.create import backbone_files, create_bundle
from clinprompt.bundle.verify import verify_bundle
from clinprompt.errors import InputError


def refused(settings):
    with pytest.raises(InputError) as caught:
        create_bundle(settings)
    assert not settings.out.exists() or settings.out.read_bytes() == b"mine"
    return str(caught.value)


def test_the_same_inputs_give_the_same_bytes_as_file_and_folder(settings, tmp_path):
    create_bundle(settings(docs=True))
    create_bundle(settings(docs=True, out=tmp_path / "again.tar"))
    assert (tmp_path / "again.tar").read_bytes() == settings().out.read_bytes()
    create_bundle(settings(docs=True, out=tmp_path / "folder"))
    assert verify_bundle(tmp_path / "folder").manifest == verify_bundle(settings().out).manifest
    held = set(verify_bundle(settings().out).manifest.files)
    assert {
        "docs/Dockerfile",
        "docs/compose.yaml",
        "docs/examples/clinprompt.service",
        "docs/docs/guides/bank.md",
    } <= held


def test_pickled_weights_and_code_stay_behind(models, tmp_path):
    folder = shutil.copytree(models / "tiny", tmp_path / "model")
    for name in ("pytorch_model.bin", "modeling.py", ".gitattributes", "training_args.pt", "original"):
        (folder / name).mkdir() if name == "original" else (folder / name).write_bytes(b"x")
    (folder / "LICENSE").write_text("terms\n")
    assert {path.name for path in backbone_files(folder)} == {path.name for path in (models / "tiny").iterdir()} | {
        "LICENSE"
    }
    (folder / "model.safetensors").unlink()
    with pytest.raises(InputError, match=r"no .*safetensors"):
        backbone_files(folder)


def test_a_bank_for_another_backbone_is_refused(settings):
    assert "do not carry over" in refused(settings(backbone="embedded"))


def test_a_changed_bank_and_a_missing_one_are_refused(settings, models, tmp_path):
    bank = shutil.copytree(models / "bank", tmp_path / "bank")
    file = bank / "meds@1.safetensors"
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)
    assert "is not the one that the manifest names" in refused(settings(bank=bank))
    assert "no bank here" in refused(settings(bank=tmp_path / "none"))


def test_what_is_there_is_not_written_over(settings):
    settings().out.write_bytes(b"mine")
    assert "there already" in refused(settings())


def test_targets_and_keys_are_checked_before_anything_is_read(settings, tmp_path):
    assert "no bundles for the platform" in refused(settings(platform="win_amd64", bank=tmp_path / "none"))
    (tmp_path / "short.key").write_bytes(b"short")
    assert "the key has 5 bytes" in refused(settings(key=tmp_path / "short.key", bank=tmp_path / "none"))
