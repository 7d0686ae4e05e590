"""Shapes of the backbones of arXiv 2604.06650, built on the meta device: real modules, no memory, no weights."""

from __future__ import annotations

from typing import Any

import torch
from transformers import AutoModelForCausalLM, GptOssConfig, LlamaConfig

from clinprompt.registry import unknown_name

_LLAMA_8B = dict(
    vocab_size=128_256,
    hidden_size=4096,
    intermediate_size=14_336,
    num_hidden_layers=32,
    num_attention_heads=32,
    num_key_value_heads=8,
    max_position_embeddings=131_072,
    tie_word_embeddings=False,
)
_GPT_OSS_20B = dict(
    vocab_size=201_088,
    hidden_size=2880,
    intermediate_size=2880,
    num_hidden_layers=24,
    num_attention_heads=64,
    num_key_value_heads=8,
    head_dim=64,
    num_local_experts=32,
    num_experts_per_tok=4,
    tie_word_embeddings=False,
    quantization_config={"quant_method": "mxfp4"},
)
# Meditron3-8B is a further-trained Llama-3.1-8B: the same shapes.
PUBLISHED: dict[str, tuple[Any, dict[str, Any]]] = {
    "Llama-3.1-8B": (LlamaConfig, _LLAMA_8B),
    "Meditron3-8B": (LlamaConfig, _LLAMA_8B),
    "gpt-oss-20b": (GptOssConfig, _GPT_OSS_20B),
}


def meta_model(name: str) -> Any:
    """The whole network of a published backbone on the meta device."""
    if name not in PUBLISHED:
        raise unknown_name("published backbone", name, PUBLISHED)
    config, sizes = PUBLISHED[name]
    return meta_network(config(**sizes))


def meta_network(config: Any) -> Any:
    """The network of a transformers configuration on the meta device, in bfloat16."""
    with torch.device("meta"):
        return AutoModelForCausalLM.from_config(config, dtype=torch.bfloat16)
