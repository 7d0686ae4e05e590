"""Engines that know nothing of prompts answer from the checkpoint as our engine does with the prompt's vectors."""

from __future__ import annotations

import gc
import json
import shutil

import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, AutoTokenizer

from clinprompt.backbones.loading import resolve
from clinprompt.backbones.protocol import Generation, Placement
from clinprompt.errors import InputError
from clinprompt.inference.engines.local import LocalEngine, Request
from clinprompt.inference.token_requests import request_ids
from clinprompt.prompts.exports.prompt_tokens import TABLES, _add_tokens
from clinprompt.prompts.exports.token_map import read_token_map
from clinprompt.prompts.prompt_file import load_prompt
from clinprompt.schema.example import Answer, Example
from clinprompt.schema.formulated import Piece
from clinprompt.stages.configs import BackboneSettings
from clinprompt.stages.export_prompts import ExportSettings, export_prompts
from clinprompt.stages.opened import open_backbone
from clinprompt.tasks.formulations.generative import formulate
from tests.made_backbones import change_json, tiny_folder
from tests.made_prompts import write_random_metaprompt, write_random_prompt

NOTES = ("MEDICATIONS: aspirin 81 mg PO daily.", "Pt denies chest pain; <medications@1:0> and <eos> are words here.")
PROMPTS = (("medications", "suffix"), ("impression", "prefix"), ("problems", "both"))
NEW = 8


def pair(note, task, opened):
    return formulate(Example("note", {"note": note}, Answer(), "note"), task, opened.template, with_answer=False)


@pytest.fixture(scope="session")
def exported(backbones, tmp_path_factory):
    """Three prompts of three placements in one checkpoint, by family."""
    made = {}

    def get(family):
        if family not in made:
            settings, opened = backbones(family)
            folder = tmp_path_factory.mktemp(family)
            files = [
                write_random_prompt(
                    folder / f"{i}.safetensors", opened, task=task, placement=placement, length=3 + i, seed=i
                )
                for i, (task, placement) in enumerate(PROMPTS)
            ]
            given = ExportSettings(
                backbone=settings, prompts=tuple(files), to="prompt-tokens", out=folder / "out", tables="float32"
            )
            made[family] = files, export_prompts(given, opened=opened), our_answers(opened, files)
        return made[family]

    return get


def our_answers(opened, files):
    """Answers of our engine, one per prompt and note, without grammars."""
    prompts = [load_prompt(file) for file in files]
    requests = [
        Request(
            opened.backbone.encode(pair(note, prompt.card.task, opened), name="note"),
            prompt.vectors,
            Placement(prompt.card.placement),
        )
        for prompt in prompts
        for note in NOTES
    ]
    return [answer.text for answer in LocalEngine(opened.backbone).answers(requests, Generation(NEW))]


def requests_of(folder, opened, tokenizer):
    found = read_token_map(folder)
    return [
        request_ids(pair(note, prompt.card.task, opened), prompt, tokenizer)
        for prompt in found.prompts
        for note in NOTES
    ]


def text_of(tokenizer, ids, stops):
    end = next((i for i, token in enumerate(ids) if token in stops), len(ids))
    return tokenizer.decode(ids[:end], skip_special_tokens=False, clean_up_tokenization_spaces=False)


@pytest.mark.parametrize("family", ["llama", "qwen3", "mistral", "gpt-oss", "embedded"])
def test_transformers_generates_our_answers(family, backbones, exported):
    opened = backbones(family)[1]
    _, done, expected = exported(family)
    tokenizer = AutoTokenizer.from_pretrained(done.out)
    model = AutoModelForCausalLM.from_pretrained(done.out, dtype=torch.float64)
    model.set_experts_implementation("eager")  # the other one knows no double precision
    new = {token for prompt in read_token_map(done.out).prompts for token in prompt.ids}
    assert set(model.generation_config.suppress_tokens) == new
    answers = []
    for number, ids in enumerate(requests_of(done.out, opened, tokenizer)):
        # All but the first without what the generation configuration forbids: the output rows alone must do.
        more = {"suppress_tokens": None} if number else {}
        mask = torch.ones(1, len(ids))
        out = model.generate(torch.tensor([ids]), attention_mask=mask, max_new_tokens=NEW, do_sample=False, **more)
        answers.append(text_of(tokenizer, out[0, len(ids) :].tolist(), opened.backbone.stops))
    assert answers == expected
    assert len(set(answers)) > len(PROMPTS)  # prompts and notes are heard


@pytest.mark.parametrize("family", ["llama", "qwen3", "embedded"])  # its mistral needs a tokenizer with <unk>
def test_ctranslate2_generates_our_answers(family, backbones, exported, tmp_path, monkeypatch):
    ctranslate2 = pytest.importorskip("ctranslate2")
    from ctranslate2.converters import TransformersConverter

    monkeypatch.setattr(gc, "collect", int)  # its converter collects in every step: seconds in a process of tests
    opened = backbones(family)[1]
    _, done, expected = exported(family)
    converted = TransformersConverter(str(done.out)).convert(str(tmp_path / "ct2"), quantization="float32")
    generator = ctranslate2.Generator(converted, device="cpu", compute_type="float32", inter_threads=1, intra_threads=1)
    tokenizer = AutoTokenizer.from_pretrained(done.out)
    asked = [tokenizer.convert_ids_to_tokens(ids) for ids in requests_of(done.out, opened, tokenizer)]
    ends = tokenizer.convert_ids_to_tokens(sorted(opened.backbone.stops))
    results = [
        generator.generate_batch([one], max_length=NEW, beam_size=1, include_prompt_in_result=False, end_token=ends)[0]
        for one in asked
    ]
    answers = [text_of(tokenizer, one.sequences_ids[0], opened.backbone.stops) for one in results]
    assert answers == expected


@pytest.mark.parametrize("family", ["llama", "gpt-oss", "embedded"])
def test_new_tokens_never_win_and_take_next_to_no_probability(family, exported):
    _, done, _ = exported(family)
    model = AutoModelForCausalLM.from_pretrained(done.out, dtype=torch.float64)
    first = read_token_map(done.out).prompts[0].first
    states = torch.randn(500, model.config.hidden_size, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    # The worst that there can be: states along which every logit of the old tokens is as low as it gets.
    states = torch.cat([states, -model.lm_head.weight[:first].mean(dim=0)[None] * 100])
    with torch.no_grad():
        logits = model.lm_head(states)
    old, new = logits[:, :first], logits[:, first:]
    assert (new.amax(dim=1) < old.amax(dim=1)).all()
    assert (new.amax(dim=1) < 0).any()  # where a row of zeros would be nearer to winning
    probability = logits.softmax(dim=1)[:, first:]
    assert (probability <= 1 / first + 1e-12).all()


def test_ordinary_text_is_read_as_before_and_new_tokens_only_where_trusted(backbones, exported):
    opened = backbones("embedded")[1]
    _, done, _ = exported("embedded")
    tokenizer = AutoTokenizer.from_pretrained(done.out)
    found = read_token_map(done.out)
    for text in (*NOTES, "naïve 😀 µg\r\n\tβ"):
        assert tokenizer.encode(text, add_special_tokens=False, split_special_tokens=True) == opened.backbone.tokens(
            Piece(text)
        )
    for prompt in found.prompts:
        assert tokenizer.encode("".join(prompt.tokens), add_special_tokens=False) == list(prompt.ids)
        assert tokenizer.decode(list(prompt.ids), skip_special_tokens=True) == ""
    new = {token for prompt in found.prompts for token in prompt.ids}
    medications = found.prompt("medications")
    ids = request_ids(pair(NOTES[1], medications.card.task, opened), medications, tokenizer)
    assert [token for token in ids if token in new] == list(medications.ids)
    assert found.prompt("problems@1").before == 3
    with pytest.raises(InputError, match="no prompt named 'meds'"):
        found.prompt("meds")


def sharded(tmp_path, family, **config):
    """A tiny backbone in several files: the first with the embeddings, the last with the norm (and the head)."""
    folder = tiny_folder(tmp_path / "sharded", family=family, template="chat")
    model = AutoModelForCausalLM.from_pretrained(folder)
    (folder / "model.safetensors").unlink()
    model.save_pretrained(folder, max_shard_size="20KB")
    tokenizer = json.loads((folder / "tokenizer_config.json").read_text())
    template = "{% for m in messages %}<q>{{ m['content'] }}<ans>{% endfor %}"
    (folder / "tokenizer_config.json").write_text(json.dumps(tokenizer | {"chat_template": template}))
    change_json(folder / "generation_config.json", eos_token_id=[2, 5], **config)
    return folder


@pytest.mark.parametrize("family", ["llama", "gpt-oss"])
def test_other_shards_are_linked_and_everything_else_comes_along(family, tmp_path):
    folder = sharded(tmp_path, family)
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    settings = BackboneSettings(path=str(folder))
    opened = open_backbone(settings)
    file = write_random_prompt(tmp_path / "p.safetensors", opened, task="medications", placement="suffix")
    done = export_prompts(ExportSettings(backbone=settings, prompts=(file,), out=tmp_path / "out"), opened=opened)
    linked = done.details["linked"]
    assert len(linked) >= 2
    assert all((done.out / name).samefile(folder / name) for name in linked)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    settings_there = json.loads((done.out / "generation_config.json").read_text())
    assert settings_there["eos_token_id"] == [2, 5] and len(settings_there["suppress_tokens"]) == 5
    again = open_backbone(BackboneSettings(path=str(done.out)))  # checks that no weight is missing
    assert again.template == opened.template and again.backbone.stops == opened.backbone.stops
    assert again.backbone.vocabulary == opened.backbone.vocabulary + 5
    config = json.loads((done.out / "config.json").read_text())
    assert config["tie_word_embeddings"] is False and config["vocab_size"] == again.backbone.vocabulary
    tables = load_file(done.out / TABLES)
    assert torch.equal(tables["model.embed_tokens.weight"][-5:], load_prompt(file).vectors)
    assert len(tables) == 2 and all(len(table) == again.backbone.vocabulary for table in tables.values())
    index = json.loads((done.out / "model.safetensors.index.json").read_text())
    assert index["metadata"]["total_size"] == sum(
        tensor.numel() * tensor.element_size()
        for name in set(index["weight_map"].values())
        for tensor in load_file(done.out / name).values()
    )


def test_the_configuration_says_the_dtype_that_the_tables_were_given(tmp_path):
    settings = BackboneSettings(path=str(sharded(tmp_path, "llama")))
    opened = open_backbone(settings)
    file = write_random_prompt(tmp_path / "p.safetensors", opened, task="medications", placement="suffix")
    asked = ExportSettings(backbone=settings, prompts=(file,), out=tmp_path / "out", tables="bfloat16")
    done = export_prompts(asked, opened=opened)
    assert json.loads((done.out / "config.json").read_text())["dtype"] == "bfloat16"
    assert {table.dtype for table in load_file(done.out / TABLES).values()} == {torch.bfloat16}


def test_unused_rows_of_a_padded_table_are_used_first(tmp_path):
    folder = tiny_folder(tmp_path / "padded")
    model = AutoModelForCausalLM.from_pretrained(folder)
    size = len(AutoTokenizer.from_pretrained(folder))
    model.resize_token_embeddings(size + 3, mean_resizing=False)
    model.save_pretrained(folder)
    settings = BackboneSettings(path=str(folder))
    opened = open_backbone(settings)
    file = write_random_prompt(tmp_path / "p.safetensors", opened, task="medications", placement="suffix")
    done = export_prompts(ExportSettings(backbone=settings, prompts=(file,), out=tmp_path / "out"), opened=opened)
    assert read_token_map(done.out).prompts[0].first == size and done.details["vocabulary"] == size + 5
    assert torch.equal(load_file(done.out / TABLES)["model.embed_tokens.weight"][size:], load_prompt(file).vectors)


def test_what_cannot_be_exported_is_refused_and_nothing_is_left(backbones, exported, tmp_path):
    settings, opened = backbones("llama")
    files, done, _ = exported("llama")
    meta = write_random_metaprompt(tmp_path / "m.safetensors", opened)
    for prompts, more, words in (
        ([meta], {}, "answers no task by itself"),
        ([files[0], files[0]], {}, "two of the prompts are medications@1"),
        ([files[0]], {"to": "peft", "tables": "float32"}, "no tables"),
        ([files[0]], {"to": "prompt-token"}, "no export named"),
    ):
        with pytest.raises(InputError, match=words):
            given = ExportSettings(backbone=settings, prompts=tuple(prompts), out=tmp_path / "out", **more)
            export_prompts(given, opened=opened)
        assert not (tmp_path / "out").exists()
    # A checkpoint that holds a token of this name already, and one without tokenizer.json.
    folder = shutil.copytree(resolve(settings.path), tmp_path / "other")
    shutil.copyfile(done.out / "tokenizer.json", folder / "tokenizer.json")
    for change, words in ((lambda: None, "already"), ((folder / "tokenizer.json").unlink, "no tokenizer.json")):
        change()
        with pytest.raises(InputError, match=words):
            _add_tokens(folder, ["<medications@1:0>"])
