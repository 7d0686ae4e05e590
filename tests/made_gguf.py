"""A Llama checkpoint as one GGUF file in float32, with the words that llama.cpp needs of its tokenizer."""

from __future__ import annotations

import json
from pathlib import Path

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

LAYER = {
    "attn_norm": "input_layernorm", "attn_q": "self_attn.q_proj", "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj", "attn_output": "self_attn.o_proj", "ffn_norm": "post_attention_layernorm",
    "ffn_gate": "mlp.gate_proj", "ffn_up": "mlp.up_proj", "ffn_down": "mlp.down_proj",
}  # fmt: skip


def write_gguf(checkpoint: Path, path: Path) -> Path:
    """Write the file; needs the package ``gguf``."""
    import gguf

    model = AutoModelForCausalLM.from_pretrained(checkpoint, dtype=torch.float32)
    config, weights = model.config, model.state_dict()
    heads, width = config.num_attention_heads, config.head_dim
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_rope_dimension_count(width)
    writer.add_rope_freq_base(config.rope_parameters["rope_theta"])
    writer.add_vocab_size(config.vocab_size)
    _add_words(writer, checkpoint)
    add = lambda name, tensor: writer.add_tensor(f"{name}.weight", tensor.float().numpy())  # noqa: E731
    add("token_embd", weights["model.embed_tokens.weight"])
    add("output", weights["lm_head.weight"])
    add("output_norm", weights["model.norm.weight"])
    for i in range(config.num_hidden_layers):
        for name, ours in LAYER.items():
            tensor = weights[f"model.layers.{i}.{ours}.weight"]
            if name in ("attn_q", "attn_k"):  # its rotary pairs are neighbours, here they are half a head apart
                tensor = tensor.view(-1, 2, width // 2, tensor.shape[1]).transpose(1, 2).reshape(tensor.shape)
            add(f"blk.{i}.{name}", tensor)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def _add_words(writer, checkpoint: Path) -> None:
    import gguf

    tokenizer = AutoTokenizer.from_pretrained(checkpoint)
    special = set(tokenizer.added_tokens_decoder)
    merges = json.loads((checkpoint / "tokenizer.json").read_text())["model"]["merges"]
    kinds = gguf.TokenType
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    writer.add_token_list(tokenizer.convert_ids_to_tokens(range(len(tokenizer))))
    writer.add_token_types([kinds.CONTROL if i in special else kinds.NORMAL for i in range(len(tokenizer))])
    writer.add_token_merges([one if isinstance(one, str) else " ".join(one) for one in merges])
    writer.add_bos_token_id(tokenizer.bos_token_id)
    writer.add_eos_token_id(tokenizer.eos_token_id)
