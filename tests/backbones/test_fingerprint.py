import json

import pytest
from safetensors.torch import load_file, save_file

from clinprompt.backbones.fingerprint import folder_fingerprint, tokenizer_fingerprint
from clinprompt.backbones.loading import embedded_folder, embedded_metaprompt
from clinprompt.prompts.prompt_file import read_card
from tests.made_backbones import change_json, tiny_folder


@pytest.fixture
def folder(tmp_path):
    return tiny_folder(tmp_path / "tiny")


def change_weight(folder, by):
    file = folder / "model.safetensors"
    tensors = load_file(file)
    tensors["model.layers.1.mlp.up_proj.weight"][3, 4] += by
    save_file(tensors, file, metadata={"format": "pt"})


def test_equal_folders_have_equal_fingerprints_wherever_they_lie(folder, tmp_path):
    other = tiny_folder(tmp_path / "elsewhere" / "again")
    assert folder_fingerprint(folder) == folder_fingerprint(other)
    assert len(folder_fingerprint(folder)) == 16


def test_one_weight_more_or_less_is_another_backbone(folder):
    before, words = folder_fingerprint(folder), tokenizer_fingerprint(folder)
    change_weight(folder, 0.0)
    assert folder_fingerprint(folder) == before
    change_weight(folder, 1e-6)
    assert folder_fingerprint(folder) != before
    assert tokenizer_fingerprint(folder) == words


def test_cosmetic_settings_do_not_count_and_real_ones_do(folder):
    before, config = folder_fingerprint(folder), folder / "config.json"
    change_json(config, transformers_version="9.9", dtype="bfloat16", use_cache=False, _name_or_path="/x")
    assert folder_fingerprint(folder) == before
    change_json(config, rms_norm_eps=1e-3)
    assert folder_fingerprint(folder) != before


def test_the_tokenizer_counts_apart_from_the_weights(folder):
    weights, words = folder_fingerprint(folder), tokenizer_fingerprint(folder)
    file = folder / "tokenizer.json"
    file.write_text(file.read_text().replace('"<note>"', '"<text>"'))
    assert tokenizer_fingerprint(folder) != words
    assert folder_fingerprint(folder) == weights


def test_what_a_tokenizer_is_read_from_without_a_tokenizer_json_counts_and_else_not(folder):
    whole = tokenizer_fingerprint(folder)
    (folder / "spm.model").write_bytes(b"one")
    assert tokenizer_fingerprint(folder) == whole
    (folder / "tokenizer.json").unlink()
    found = {tokenizer_fingerprint(folder)}
    for name in ("spm.model", "sentencepiece.bpe.model", "spiece.model"):
        (folder / name).write_bytes(b"two")
        found.add(tokenizer_fingerprint(folder))
    assert len(found) == 4


def test_the_identity_that_shipped_prompts_are_made_for_is_that_of_the_embedded_backbone():
    card = read_card(embedded_metaprompt())
    assert tokenizer_fingerprint(embedded_folder()) == card.backbone.tokenizer
    assert folder_fingerprint(embedded_folder()) == card.backbone.fingerprint


def test_how_a_vocabulary_is_read_counts_where_there_is_no_tokenizer_json(folder):
    settings = folder / "tokenizer_config.json"
    found = set()
    for whole in (True, False):
        if not whole:
            (folder / "tokenizer.json").unlink()
        for known in (
            {},
            {"do_lower_case": False},
            {"do_lower_case": True},
            {"do_lower_case": True, "model_max_length": 9},
        ):
            settings.write_text(json.dumps(known))
            found.add((whole, tokenizer_fingerprint(folder)))
    assert sorted(whole for whole, _ in found) == [False, False, False, True]
