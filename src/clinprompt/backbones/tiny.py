"""Tiny random models of real families in the real file layout: what tests and dry runs load instead of 8 B weights."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import (
    AutoModelForCausalLM,
    GptOssConfig,
    LlamaConfig,
    MistralConfig,
    PreTrainedTokenizerFast,
    Qwen3Config,
)

from clinprompt.backbones.tiny_encoders import ENCODERS, write_tiny_encoder

_SPECIAL = ("<pad>", "<bos>", "<eos>", "<note>", "<task>", "<ans>", "<q>")
_SIZES = dict(
    hidden_size=32,
    num_hidden_layers=3,
    num_attention_heads=4,
    num_key_value_heads=2,
    head_dim=8,
    intermediate_size=48,
    max_position_embeddings=256,
    pad_token_id=0,
    bos_token_id=1,
    eos_token_id=2,
)


def _gpt_oss(**sizes: Any) -> GptOssConfig:
    # A window shorter than the test rows, so that sliding layers really slide.
    return GptOssConfig(**sizes, num_local_experts=4, num_experts_per_tok=2, sliding_window=16)


FAMILIES: dict[str, Callable[..., Any]] = {
    "llama": LlamaConfig,
    "mistral": MistralConfig,
    "qwen3": Qwen3Config,
    "gpt-oss": _gpt_oss,
}


def write_tiny(folder: Path, *, family: str = "llama", seed: int = 0, template: str = "markers") -> Path:
    """Write a random model of ``family`` with a tokenizer as an ordinary Hugging Face folder.

    Decoders (:data:`FAMILIES`) have a byte-level tokenizer and ``template``; encoders
    (:data:`~clinprompt.backbones.tiny_encoders.ENCODERS`) have a tokenizer of their family's kind.
    """
    if family in ENCODERS:
        return write_tiny_encoder(folder, family=family, seed=seed)
    tokenizer = byte_tokenizer()
    config = FAMILIES[family](**_SIZES, vocab_size=len(tokenizer), tie_word_embeddings=family != "gpt-oss")
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = AutoModelForCausalLM.from_config(config, dtype=torch.float32)
        for weight in model.parameters():  # large enough that logits differ clearly between tokens
            if weight.ndim > 1:
                torch.nn.init.normal_(weight, std=0.25)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    (folder / "clinprompt.json").write_text(f'{{"template": "{template}"}}\n', encoding="utf-8")
    return folder


def byte_tokenizer() -> PreTrainedTokenizerFast:
    """A tokenizer with one token per byte and the markers as special tokens."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {token: i for i, token in enumerate([*_SPECIAL, *alphabet])}
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens(list(_SPECIAL))
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token="<pad>",
        bos_token="<bos>",
        eos_token="<eos>",
        additional_special_tokens=list(_SPECIAL[3:]),
    )
