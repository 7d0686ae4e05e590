"""A GGUF file, written here as llama.cpp lays it out, gives the network that it was made from."""

from __future__ import annotations

import importlib.util
import json

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from clinprompt.backbones.gguf_file import unpack
from clinprompt.backbones.loading import load_backbone
from clinprompt.backbones.tiny import write_tiny
from clinprompt.errors import InputError


def _rotated(weight, heads):
    """Rows in the order of llama.cpp's rotary embedding: pairs side by side in place of halves."""
    return weight.reshape(heads, 2, len(weight) // heads // 2, -1).swapaxes(1, 2).reshape(weight.shape)


def _write(folder, file):
    gguf = pytest.importorskip("gguf")
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    vocabulary = json.loads((folder / "tokenizer.json").read_text())["model"]["vocab"]
    config, weights = model.config, model.state_dict()
    writer = gguf.GGUFWriter(file, "llama")
    writer.add_block_count(config.num_hidden_layers)
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_key_length(config.head_dim)
    writer.add_vocab_size(config.vocab_size)
    writer.add_rope_dimension_count(config.head_dim)
    writer.add_rope_freq_base(config.rope_parameters["rope_theta"])
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("default")
    tokens = sorted(vocabulary, key=vocabulary.get)
    tokens[6] = "ab"  # the format has no empty list of merges
    writer.add_token_list(tokens)
    writer.add_token_types([3 if i < 6 else 1 for i in range(len(tokens))])
    writer.add_token_merges(["a b"])
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_pad_token_id(0)
    names = {
        "self_attn.q_proj": "attn_q",
        "self_attn.k_proj": "attn_k",
        "self_attn.v_proj": "attn_v",
        "self_attn.o_proj": "attn_output",
        "mlp.gate_proj": "ffn_gate",
        "mlp.up_proj": "ffn_up",
        "mlp.down_proj": "ffn_down",
        "input_layernorm": "attn_norm",
        "post_attention_layernorm": "ffn_norm",
    }
    heads = {"attn_q": config.num_attention_heads, "attn_k": config.num_key_value_heads}
    for layer in range(config.num_hidden_layers):
        for ours, theirs in names.items():
            weight = weights[f"model.layers.{layer}.{ours}.weight"]
            if theirs in heads:
                weight = _rotated(weight, heads[theirs])
            writer.add_tensor(f"blk.{layer}.{theirs}.weight", weight.contiguous().numpy())
    writer.add_tensor("token_embd.weight", weights["model.embed_tokens.weight"].numpy())
    writer.add_tensor("output_norm.weight", weights["model.norm.weight"].numpy())
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return model


def test_the_folder_holds_the_network_of_the_file_and_opens_as_a_backbone(tmp_path):
    model = _write(write_tiny(tmp_path / "tiny"), tmp_path / "tiny.gguf")
    count = unpack(tmp_path / "tiny.gguf", tmp_path / "out", dtype="float32")
    assert count == model.num_parameters()
    ids = torch.arange(7, 60)[None]
    with torch.no_grad():
        again = AutoModelForCausalLM.from_pretrained(tmp_path / "out")(ids).logits
        torch.testing.assert_close(again, model(ids).logits, atol=1e-5, rtol=1e-5)
    text = "Aspirin 81 mg, näher"
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "out")
    assert tokenizer.decode(tokenizer(text, add_special_tokens=False)["input_ids"]) == text
    assert load_backbone(str(tmp_path / "out")).n_layers == model.config.num_hidden_layers


def test_what_is_no_gguf_file_is_refused_and_nothing_is_written(tmp_path):
    (tmp_path / "notes.gguf").write_bytes(b"PK\x03\x04")
    with pytest.raises(InputError, match="no GGUF file"):
        unpack(tmp_path / "notes.gguf", tmp_path / "out")
    with pytest.raises(InputError, match="no such file"):
        unpack(tmp_path / "absent.gguf", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_broken_file_is_refused_in_one_paragraph(tmp_path):
    _write(write_tiny(tmp_path / "tiny"), tmp_path / "tiny.gguf")
    whole = (tmp_path / "tiny.gguf").read_bytes()
    for length in (8, 100, len(whole) // 2):
        (tmp_path / "tiny.gguf").write_bytes(whole[:length])
        with pytest.raises(InputError, match="cannot be read"):
            unpack(tmp_path / "tiny.gguf", tmp_path / "out")
        assert not (tmp_path / "out").exists()


def test_without_the_package_it_says_what_to_install(tmp_path, monkeypatch):
    (tmp_path / "a.gguf").write_bytes(b"GGUF")
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(InputError, match=r"clinprompt\[gguf\]"):
        unpack(tmp_path / "a.gguf", tmp_path / "out")
