import json
import socket

import pytest
import torch
from safetensors.torch import load_file, save_file

from clinprompt.backbones.fingerprint import folder_fingerprint, tokenizer_fingerprint
from clinprompt.backbones.loading import EMBEDDED, embedded_folder, load_backbone, resolve
from clinprompt.backbones.protocol import Generation, Row
from clinprompt.errors import InputError
from clinprompt.inference.engines.local import LocalEngine, Request
from tests.made_backbones import change_json, tiny_folder


@pytest.fixture
def folder(tmp_path):
    return tiny_folder(tmp_path / "tiny", context=256)


def refused(backbone, **options) -> str:
    with pytest.raises(InputError) as caught:
        load_backbone(str(backbone), **options)
    assert str(backbone) in str(caught.value) and (caught.value.fix or caught.value.allowed)
    return str(caught.value)


def test_a_folder_opens_frozen_with_its_name_template_and_fingerprints(folder):
    backbone = load_backbone(str(folder))
    assert (backbone.name, backbone.template, backbone.max_tokens) == ("tiny", "markers", 256)
    assert (backbone.hidden_size, backbone.n_layers, backbone.vocabulary) == (32, 3, 263)
    assert (backbone.bos, backbone.eos, backbone.pad) == (1, 2, 0)
    assert backbone.fingerprint == folder_fingerprint(folder)
    assert backbone.tokenizer_fingerprint == tokenizer_fingerprint(folder)
    assert not backbone.model.training
    assert not any(weight.requires_grad for weight in backbone.model.parameters())


def test_the_template_of_a_folder_that_names_none_is_plain(folder):
    (folder / "clinprompt.json").unlink()
    assert load_backbone(str(folder)).template == "plain"


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float64"])
def test_the_dtype_is_that_of_the_weights_and_logits_are_at_least_float32(folder, dtype):
    backbone = load_backbone(str(folder), dtype=dtype)
    assert {weight.dtype for weight in backbone.model.parameters()} == {getattr(torch, dtype)}
    logits = backbone.forward([Row("a", (5, 6), (7,), (8, 2))], None).logits
    assert logits.dtype is (torch.float64 if dtype == "float64" else torch.float32)


def test_autocast_keeps_weights_and_logits_in_float32(folder):
    exact, rough = load_backbone(str(folder)), load_backbone(str(folder), autocast="bfloat16")
    row = Row("a", tuple(range(10, 40)), (7,), (8, 2))
    logits = [backbone.forward([row], None).logits for backbone in (exact, rough)]
    assert rough.embeddings.dtype is logits[1].dtype is torch.float32
    assert not torch.equal(*logits)
    assert float((logits[0] - logits[1]).abs().max()) < 0.1 * float(logits[0].abs().max())
    assert len(LocalEngine(rough).answers([Request(row)], Generation(3))) == 1


def test_a_missing_folder(tmp_path):
    assert "no backbone folder" in refused(tmp_path / "nothing")
    assert "no backbone folder" in refused("nothing-of-this-name")


def test_a_folder_without_config(folder):
    (folder / "config.json").unlink()
    assert "no config.json" in refused(folder)


def test_pickled_weights_are_not_opened(folder):
    class Trap:
        def __reduce__(self):
            return (pytest.fail, ("a pickle was opened",))

    (folder / "model.safetensors").unlink()
    torch.save(Trap(), folder / "pytorch_model.bin")
    assert "no *.safetensors" in refused(folder)


def test_truncated_weights(folder):
    file = folder / "model.safetensors"
    file.write_bytes(file.read_bytes()[:-1000])
    assert "cannot be opened" in refused(folder)


def test_missing_weights(folder):
    file = folder / "model.safetensors"
    tensors = load_file(file)
    del tensors["model.layers.2.mlp.up_proj.weight"]
    save_file(tensors, file, metadata={"format": "pt"})
    message = refused(folder)
    assert "1 weights are missing" in message and "layers.2.mlp.up_proj" in message


@pytest.mark.parametrize("file", ["config.json", "tokenizer.json", "clinprompt.json"])
def test_files_that_are_no_json(folder, file):
    (folder / file).write_text("{not json")
    assert "cannot be opened" in refused(folder)


def test_a_folder_without_tokenizer(folder):
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (folder / name).unlink()
    refused(folder)


def test_a_tokenizer_without_an_end_token(folder):
    change_json(folder / "tokenizer_config.json", eos_token=None)
    assert "no end-of-sequence token" in refused(folder)


def test_weights_of_another_shape(folder):
    change_json(folder / "config.json", intermediate_size=64)
    assert "cannot be opened" in refused(folder)


def test_a_family_that_changes_its_logits_after_the_head_is_refused(tmp_path):
    from transformers import AutoModelForCausalLM, GraniteConfig

    from clinprompt.backbones.tiny import byte_tokenizer

    sizes = dict(hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16, vocab_size=263)
    AutoModelForCausalLM.from_config(GraniteConfig(**sizes, logits_scaling=4.0)).save_pretrained(tmp_path)
    byte_tokenizer().save_pretrained(tmp_path)
    assert "changes its logits" in refused(tmp_path)


def test_code_in_a_folder_is_never_run(folder):
    (folder / "evil.py").write_text("raise SystemExit('code of a model folder was run')\n")
    change_json(folder / "config.json", auto_map={"AutoModelForCausalLM": "evil.Model"}, model_type="evil")
    assert "cannot be opened" in refused(folder)


def test_a_hub_id_that_is_not_in_the_cache_asks_nobody(tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")

    def refuse(*_):
        raise AssertionError("a connection was tried")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    message = refused("nobody-here/no-such-model")
    assert "nor such a model in the local cache" in message and "--online" in message


def test_a_device_that_is_not_there(folder):
    with pytest.raises(InputError, match="no device 'warp'"):
        load_backbone(str(folder), device="warp")
    if not torch.cuda.is_available():
        with pytest.raises(InputError, match="no CUDA device"):
            load_backbone(str(folder), device="cuda")


def test_the_embedded_backbone_opens_and_is_named_so():
    if not embedded_folder().is_dir():
        pytest.skip("the embedded model is not in this checkout")
    assert resolve(EMBEDDED) == embedded_folder()
    backbone = load_backbone()
    assert backbone.name == EMBEDDED
    settings = json.loads((embedded_folder() / "clinprompt.json").read_text())
    assert backbone.template == settings["template"]
    assert LocalEngine(backbone).answers([Request(Row("a", (5, 6), (7,), (2,)))], Generation(2))[0].tokens <= 2
