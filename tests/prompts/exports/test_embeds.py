"""Prompts as embeddings: put together as the page in the folder says, they give our engine's answers."""

from __future__ import annotations

import json

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM

from clinprompt.backbones.loading import resolve
from clinprompt.backbones.protocol import Placement, PromptVectors, Row
from clinprompt.errors import InputError
from clinprompt.prompts.card import PromptCard
from clinprompt.prompts.prompt_file import load_prompt
from clinprompt.stages.export_prompts import ExportSettings, export_prompts
from tests.made_prompts import write_random_metaprompt, write_random_prompt

PLACEMENTS = {"medications": "suffix", "impression": "prefix", "problems": "both"}


def test_stock_transformers_gives_our_logits_from_the_payload(backbones, tmp_path):
    settings, opened = backbones("llama")
    files = {
        task: write_random_prompt(tmp_path / f"{task}.safetensors", opened, task=task, placement=placement)
        for task, placement in PLACEMENTS.items()
    }
    given = ExportSettings(backbone=settings, prompts=tuple(files.values()), to="vllm-embeds", out=tmp_path / "out")
    done = export_prompts(given, opened=opened)
    payload = load_file(done.out / "prompts.safetensors")
    assert done.details == {f"{task}@1": 5 for task in PLACEMENTS}
    with safe_open(done.out / "prompts.safetensors", framework="pt") as file:
        cards = json.loads(file.metadata()["cards"])
    assert PromptCard.model_validate_json(json.dumps(cards["problems@1"])) == load_prompt(files["problems"]).card
    model = AutoModelForCausalLM.from_pretrained(resolve(settings.path), dtype=torch.float64)
    table = model.get_input_embeddings().weight.detach()
    row = Row("row", context=tuple(range(20, 45)), cue=(5,), answer=(30, 2))
    for task, placement in PLACEMENTS.items():
        before, after = (payload[f"{task}@1/{part}"].double() for part in ("before", "after"))
        parts = (before, table[[1, *row.context]], after, table[[*row.cue]])
        with torch.no_grad():
            logits = model(inputs_embeds=torch.cat(parts)[None]).logits[0, -1]
        prompts = PromptVectors(load_prompt(files[task]).vectors[None], Placement(placement))
        assert torch.allclose(logits, opened.backbone.forward([row], prompts).logits[0], rtol=0, atol=1e-9)
    page = (done.out / "README.md").read_text()
    assert "CVE-2025-62164" in page and "model.embed_tokens.weight" in page


def test_a_metaprompt_is_refused(backbones, tmp_path):
    settings, opened = backbones("llama")
    meta = write_random_metaprompt(tmp_path / "m.safetensors", opened)
    given = ExportSettings(backbone=settings, prompts=(meta,), to="vllm-embeds", out=tmp_path / "out")
    with pytest.raises(InputError, match="answers no task by itself"):
        export_prompts(given, opened=opened)
