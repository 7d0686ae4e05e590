"""Stock peft loads our folders and gives our logits; what stock peft saves gives its own logits here."""

from __future__ import annotations

import json

import pytest
import torch
from peft import MultitaskPromptTuningConfig, PeftModel, PromptTuningConfig, get_peft_model
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM

from clinprompt.backbones.loading import resolve
from clinprompt.backbones.protocol import Placement, PromptVectors, Row
from clinprompt.errors import InputError
from clinprompt.maths.decomposition import compose
from clinprompt.prompts.exports.peft import read_peft
from clinprompt.prompts.prompt_file import load_metaprompt, load_prompt
from clinprompt.stages.export_prompts import ExportSettings, export_prompts
from clinprompt.stages.import_prompt import ImportPromptSettings, import_prompt
from tests.made_prompts import write_random_metaprompt, write_random_prompt

# peft 0.21 asks transformers 5.23 for an attribute under its old name.
pytestmark = pytest.mark.filterwarnings("ignore:.*is_gradient_checkpointing:FutureWarning")

TOLERANCE = 1e-9
"""Of logits in double precision; peft's own order of sums differs from ours."""

ROW = Row("row", context=tuple(range(20, 45)), cue=(5,), answer=(30, 31, 2))


def stock(settings):
    return AutoModelForCausalLM.from_pretrained(resolve(settings.path), dtype=torch.float64)


def ours(opened, vectors):
    return opened.backbone.forward([ROW], PromptVectors(vectors[None], Placement.prefix)).logits


def theirs(model, **more):
    ids = [1, *ROW.context, *ROW.cue, *ROW.answer[:-1]]
    with torch.no_grad():
        return model(torch.tensor([ids]), attention_mask=torch.ones(1, len(ids)), **more).logits[0, -3:]


def export(prompts, settings, opened, out):
    return export_prompts(ExportSettings(backbone=settings, prompts=tuple(prompts), to="peft", out=out), opened=opened)


@pytest.mark.parametrize("family", ["llama", "qwen3", "mistral", "embedded"])
def test_stock_peft_gives_our_logits(family, backbones, tmp_path):
    settings, opened = backbones(family)
    file = write_random_prompt(tmp_path / "p.safetensors", opened, task="medications", placement="prefix")
    meta = write_random_metaprompt(tmp_path / "m.safetensors", opened)
    done = export([file, meta], settings, opened, tmp_path / "out")
    assert done.details == {"medications": "PROMPT_TUNING", "metaprompt": "MULTITASK_PROMPT_TUNING"}

    single = PeftModel.from_pretrained(stock(settings), tmp_path / "out" / "medications")
    expected = ours(opened, load_prompt(file).vectors)
    assert torch.allclose(theirs(single), expected, rtol=0, atol=TOLERANCE)
    assert not torch.allclose(theirs(stock(settings)), expected, rtol=0, atol=1e-2)

    multi = PeftModel.from_pretrained(stock(settings), tmp_path / "out" / "metaprompt")
    found = load_metaprompt(meta)
    for number, name in enumerate(found.card.tasks):
        pair = found.factors[name]
        expected = ours(opened, compose(found.vectors, pair.rows, pair.cols))
        assert torch.allclose(theirs(multi, task_ids=torch.tensor([number])), expected, rtol=0, atol=1e-5)


def test_an_export_comes_back_as_it_was(backbones, tmp_path):
    settings, opened = backbones("llama")
    file = write_random_prompt(tmp_path / "p.safetensors", opened, task="medications", placement="prefix")
    meta = write_random_metaprompt(tmp_path / "m.safetensors", opened, ranks=(2, 2))
    export([file, meta], settings, opened, tmp_path / "out")
    for folder, name in (("medications", "p"), ("metaprompt", "m")):
        back = tmp_path / f"{name}-again.safetensors"
        import_prompt(
            ImportPromptSettings(backbone=settings, folder=tmp_path / "out" / folder, out=back), opened=opened
        )
        assert back.read_bytes() == (tmp_path / f"{name}.safetensors").read_bytes()


@pytest.mark.parametrize("placement", ["suffix", "both"])
def test_other_placements_are_refused_by_name(placement, backbones, tmp_path):
    settings, opened = backbones("llama")
    file = write_random_prompt(tmp_path / "p.safetensors", opened, task="medications", placement=placement)
    with pytest.raises(InputError, match=placement) as refused:
        export([file], settings, opened, tmp_path / "out")
    assert "prompt-tokens" in refused.value.fix
    assert not (tmp_path / "out").exists()


def saved_by_peft(settings, folder, config):
    model = get_peft_model(stock(settings), config)
    torch.manual_seed(3)
    for weight in model.parameters():
        if weight.requires_grad:
            torch.nn.init.normal_(weight, std=0.3)
    model.eval()
    model.save_pretrained(folder)
    return model


def test_what_peft_saved_answers_as_there(backbones, tmp_path):
    settings, opened = backbones("llama")
    config = PromptTuningConfig(task_type="CAUSAL_LM", num_virtual_tokens=6)
    model = saved_by_peft(settings, tmp_path / "theirs", config)
    given = {"backbone": settings, "folder": tmp_path / "theirs", "out": tmp_path / "p.safetensors"}
    card = import_prompt(ImportPromptSettings(**given, task="medications"), opened=opened)
    assert (card.placement, card.length, card.task.name) == ("prefix", 6, "medications")
    found = load_prompt(tmp_path / "p.safetensors", backbone=opened.identity)
    assert torch.allclose(theirs(model), ours(opened, found.vectors), rtol=0, atol=TOLERANCE)


def test_a_multitask_save_becomes_a_metaprompt_or_one_task(backbones, tmp_path):
    settings, opened = backbones("llama")
    config = MultitaskPromptTuningConfig(
        task_type="CAUSAL_LM", num_virtual_tokens=6, num_tasks=2, num_ranks=3, prompt_tuning_init="RANDOM"
    )
    model = saved_by_peft(settings, tmp_path / "theirs", config)
    given = {"backbone": settings, "folder": tmp_path / "theirs"}

    def taken(out, **more):
        return import_prompt(ImportPromptSettings(**given, out=tmp_path / out, **more), opened=opened)

    assert taken("meta.safetensors", sources=("a", "b")).tasks == ("a", "b")
    meta = load_metaprompt(tmp_path / "meta.safetensors")
    for number, name in enumerate(meta.card.tasks):
        expected = theirs(model, task_ids=torch.tensor([number]))
        folded = compose(meta.vectors, meta.factors[name].rows, meta.factors[name].cols)
        assert torch.allclose(ours(opened, folded), expected, rtol=0, atol=1e-5)
        taken(f"{number}.safetensors", task="medications", task_id=number)
        assert torch.equal(load_prompt(tmp_path / f"{number}.safetensors").vectors, folded)
    for faulty, words in (
        ({"sources": ("a",)}, "2 tasks"),
        ({"task": "medications"}, "0 to 1"),
        ({"task": "medications", "task_id": 2}, "0 to 1"),
        ({"task_id": 1}, "not for which task"),
    ):
        with pytest.raises(InputError, match=words):
            taken("none.safetensors", **faulty)


def test_bad_folders_are_refused(backbones, tmp_path):
    settings, opened = backbones("llama")
    file = write_random_prompt(tmp_path / "p.safetensors", opened, task="medications", placement="prefix")
    export([file], settings, opened, tmp_path / "out")
    folder = tmp_path / "out" / "medications"
    config = folder / "adapter_config.json"
    good = json.loads(config.read_text())
    with pytest.raises(InputError, match=r"no adapter_config\.json"):
        read_peft(tmp_path)
    for fields, words in (
        ({"peft_type": "LORA"}, "LORA"),
        ({"task_type": "SEQ_2_SEQ_LM"}, "SEQ_2_SEQ_LM"),
        ({"peft_type": "MULTITASK_PROMPT_TUNING"}, "prefix_task_cols"),
    ):
        config.write_text(json.dumps(good | fields))
        with pytest.raises(InputError, match=words):
            read_peft(folder)
    config.write_text(json.dumps(good))
    weights = folder / "adapter_model.safetensors"
    vectors = load_file(weights)["prompt_embeddings"]
    save_file({"prompt_embeddings": vectors[:, :-1].contiguous()}, weights)
    given = ImportPromptSettings(backbone=settings, folder=folder, out=tmp_path / "again.safetensors")
    with pytest.raises(InputError, match="does not fit the backbone"):
        import_prompt(given, opened=opened)
    weights.unlink()
    with pytest.raises(InputError, match="pickled weights are never opened"):
        import_prompt(given, opened=opened)
    (folder / "clinprompt-card.json").unlink()
    save_file({"prompt_embeddings": vectors}, weights)
    with pytest.raises(InputError, match="--task"):
        import_prompt(given, opened=opened)
