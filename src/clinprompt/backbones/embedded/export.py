"""Write a trained model as an ordinary Hugging Face folder."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import torch
from transformers import GenerationConfig, LlamaForCausalLM, PreTrainedTokenizerBase

from clinprompt.backbones.embedded.progress import Progress
from clinprompt.backbones.embedded.size import Size


def export(
    out: Path,
    *,
    model: LlamaForCausalLM,
    tokenizer: PreTrainedTokenizerBase,
    seed: int,
    size: Size,
    processes: int,
    ended: Progress,
) -> None:
    """Write weights (bfloat16), tokenizer and ``clinprompt.json``: the template, and what the model was made from."""
    out.mkdir(parents=True, exist_ok=True)
    copy = LlamaForCausalLM(model.config).to(torch.bfloat16)
    copy.load_state_dict(model.state_dict())
    copy.set_attn_implementation("sdpa")
    special = {"bos_token_id": tokenizer.bos_token_id, "eos_token_id": tokenizer.eos_token_id}
    copy.generation_config = GenerationConfig(**special, pad_token_id=tokenizer.pad_token_id, do_sample=False)
    copy.save_pretrained(out)
    tokenizer.model_max_length = model.config.max_position_embeddings
    tokenizer.save_pretrained(out)
    card = {
        "template": "markers",
        "data": "synthetic notes of clinprompt.data.readers.synthetic, source terms only",
        "tokens": ended.tokens,
        "seed": seed,
        "minutes": round(ended.minutes, 2),
        "answer_loss": round(ended.answer_loss, 4),
        "processes": processes,
        "size": asdict(size),
    }
    (out / "clinprompt.json").write_text(json.dumps(card, indent=2) + "\n", encoding="utf-8")
