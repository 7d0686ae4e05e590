"""Shapes of the backbones of arXiv 2604.06650 and 2310.06239 on the meta device: real modules, no memory, no weights.

GatorTron's layers, widths and heads are those of doi 10.1038/s41746-022-00742-2 (345M, 3.9B and 8.9B parameters); its
vocabulary is 50,176 word pieces and its MLP four times as wide as its states.
"""

from __future__ import annotations

from typing import Any

import torch
from transformers import AutoModel, AutoModelForCausalLM, GptOssConfig, LlamaConfig, MegatronBertConfig

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
ENCODER_TYPES = frozenset(
    {"bert", "camembert", "deberta-v2", "electra", "megatron-bert", "modernbert", "roberta", "xlm-roberta"}
)
"""Families that read: their networks have no head that writes."""


def _gatortron(*, layers: int, hidden: int, heads: int) -> dict[str, Any]:
    return dict(
        vocab_size=50_176,
        hidden_size=hidden,
        intermediate_size=4 * hidden,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        max_position_embeddings=512,
    )


# Meditron3-8B is a further-trained Llama-3.1-8B: the same shapes.
PUBLISHED: dict[str, tuple[Any, dict[str, Any]]] = {
    "Llama-3.1-8B": (LlamaConfig, _LLAMA_8B),
    "Meditron3-8B": (LlamaConfig, _LLAMA_8B),
    "gpt-oss-20b": (GptOssConfig, _GPT_OSS_20B),
    "GatorTron-345M": (MegatronBertConfig, _gatortron(layers=24, hidden=1024, heads=16)),
    "GatorTron-3.9B": (MegatronBertConfig, _gatortron(layers=48, hidden=2560, heads=40)),
    "GatorTron-8.9B": (MegatronBertConfig, _gatortron(layers=56, hidden=3584, heads=56)),
}


def meta_model(name: str) -> Any:
    """The whole network of a published backbone on the meta device."""
    if name not in PUBLISHED:
        raise unknown_name("published backbone", name, PUBLISHED)
    config, sizes = PUBLISHED[name]
    return meta_network(config(**sizes))


def meta_network(config: Any) -> Any:
    """The network of a transformers configuration on the meta device, in bfloat16; encoders without their pooler."""
    with torch.device("meta"):
        if config.model_type not in ENCODER_TYPES:
            return AutoModelForCausalLM.from_config(config, dtype=torch.bfloat16)
        return without_pooler(AutoModel.from_config(config, dtype=torch.bfloat16))


def without_pooler(model: Any) -> Any:
    """The encoder without the layer that sums up a whole text, which nothing here reads."""
    if getattr(model, "pooler", None) is not None:
        model.pooler = None
    return model
