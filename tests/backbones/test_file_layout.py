"""The file layouts in which published backbones come, on tiny networks of the same classes."""

import json

import pytest
import torch
from transformers import AutoModelForCausalLM

from clinprompt.backbones import loading
from clinprompt.backbones.loading import load_backbone, resolve
from clinprompt.backbones.protocol import Row
from clinprompt.errors import InputError
from tests.made_backbones import change_json, tiny_folder

ROW = Row("a", (5, 6, 40), (7,), (8, 2))


@pytest.fixture(scope="module", params=["llama", "gpt-oss"])
def whole(request, tmp_path_factory):
    return tiny_folder(tmp_path_factory.mktemp(request.param) / "tiny", family=request.param)


@pytest.fixture
def sharded(whole, tmp_path):
    """The same weights in several files with an index, the chat template in a file of its own."""
    folder = tmp_path / "sharded"
    model = AutoModelForCausalLM.from_pretrained(whole)
    model.save_pretrained(folder, max_shard_size="40KB")
    for file in whole.iterdir():
        if file.suffix == ".json" and not (folder / file.name).exists():
            (folder / file.name).write_bytes(file.read_bytes())
    (folder / "chat_template.jinja").write_text("{% for m in messages %}<q>{{ m.content }}<task>{% endfor %}")
    return folder


def test_shards_are_read_as_the_whole(whole, sharded):
    index = json.loads((sharded / "model.safetensors.index.json").read_text())
    files = set(index["weight_map"].values())
    assert len(files) > 2 and files == {file.name for file in sharded.glob("*.safetensors")}
    one, many = load_backbone(str(whole)), load_backbone(str(sharded))
    assert torch.equal(one.forward([ROW], None).logits, many.forward([ROW], None).logits)
    assert many.tokenizer.chat_template and one.fingerprint != many.fingerprint


def test_a_shard_that_is_missing_is_noticed(sharded):
    sorted(sharded.glob("*.safetensors"))[1].unlink()
    with pytest.raises(InputError, match=r"cannot be opened|weights are missing"):
        load_backbone(str(sharded))


@pytest.mark.parametrize("name", ["someone/llama", "bert-base-uncased"])
def test_a_hub_id_in_the_cache_opens_offline_and_keeps_its_name(sharded, tmp_path, monkeypatch, name):
    from huggingface_hub import constants

    cache = tmp_path / "hub" / f"models--{name.replace('/', '--')}"
    snapshot = cache / "snapshots" / ("a" * 40)
    snapshot.parent.mkdir(parents=True)
    sharded.rename(snapshot)
    (cache / "refs").mkdir()
    (cache / "refs" / "main").write_text("a" * 40)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    assert resolve(name) == snapshot
    opened = load_backbone(name)
    assert opened.name == name and opened.fingerprint == load_backbone(str(snapshot)).fingerprint


def test_a_download_takes_the_chat_template_and_no_second_copy_of_the_weights(monkeypatch, tmp_path):
    import huggingface_hub
    from huggingface_hub.utils import filter_repo_objects

    asked = {}
    monkeypatch.setattr(huggingface_hub, "snapshot_download", lambda name, **options: asked.update(options) or tmp_path)
    monkeypatch.setenv("HF_HUB_OFFLINE", "0")
    assert resolve("openai/gpt-oss-20b") == tmp_path
    published = [
        "config.json", "generation_config.json", "chat_template.jinja", "model-00000-of-00002.safetensors",
        "model.safetensors.index.json", "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json",
    ]  # fmt: skip
    beside = ["original/model.safetensors", "metal/model.bin", "original/config.json", "README.md", "model.pth"]
    patterns = {name: asked[name] for name in ("allow_patterns", "ignore_patterns")}
    assert list(filter_repo_objects(published + beside, **patterns)) == published


@pytest.mark.parametrize("named, ends", [([2, 8, 9], {2, 8, 9}), (7, {2, 7}), (None, {2})])
def test_answers_end_at_every_token_that_the_generation_settings_name(whole, tmp_path, named, ends):
    for file in whole.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    change_json(tmp_path / "generation_config.json", eos_token_id=named)
    backbone = load_backbone(str(tmp_path))
    assert backbone.stops == ends and backbone.eos == 2


def test_weights_that_do_not_fit_are_refused_before_they_are_read(whole, monkeypatch):
    monkeypatch.setattr(AutoModelForCausalLM, "from_pretrained", lambda *_, **__: pytest.fail("weights were read"))
    monkeypatch.setattr(loading, "free_memory", lambda device: 2**16)
    with pytest.raises(InputError) as caught:
        load_backbone(str(whole))
    for words in ("0.0 GiB", "float32", "free on cpu", f"`clinprompt check --backbone {whole}`"):
        assert words in str(caught.value)


def test_without_accelerators_auto_and_spread_are_the_processor(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert loading.devices("auto") == loading.devices("spread") == [torch.device("cpu")]


def test_with_accelerators_auto_is_the_current_one_and_spread_all(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "current_device", lambda: 0)
    cards = [torch.device("cuda", 0), torch.device("cuda", 1)]
    assert (loading.devices("auto"), loading.devices("spread")) == (cards[:1], cards)
    assert loading.devices("cuda:1") == cards[1:] and loading.devices("cpu") == [torch.device("cpu")]
    with pytest.raises(InputError, match="no CUDA device 2"):
        loading.devices("cuda:2")


@pytest.mark.gpu
@pytest.mark.skipif(torch.cuda.device_count() < 2, reason="needs two CUDA devices")
def test_a_backbone_spread_over_devices_gives_the_logits_of_one(whole):
    one, all_ = load_backbone(str(whole), device="cuda:0"), load_backbone(str(whole), device="spread")
    torch.testing.assert_close(one.forward([ROW], None).logits, all_.forward([ROW], None).logits.to("cuda:0"))
