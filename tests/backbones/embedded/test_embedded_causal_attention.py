"""The attention of pretraining is the model's own, exactly in float32 and closely in bfloat16."""

from __future__ import annotations

import pytest
import torch
from torch.nn.functional import cross_entropy
from transformers import LlamaConfig, LlamaForCausalLM

from clinprompt.backbones.embedded import causal_attention

LENGTHS = (17, 5, 11)  # of right-padded rows


@pytest.fixture
def model() -> LlamaForCausalLM:
    torch.manual_seed(0)
    return LlamaForCausalLM(
        LlamaConfig(
            vocab_size=300,
            hidden_size=64,
            intermediate_size=96,
            num_hidden_layers=2,
            num_attention_heads=2,
            tie_word_embeddings=True,
            initializer_range=0.15,
        )
    )


def rows(filler: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Ids with this filler behind each row ``[B, T]``, and where the tokens are."""
    ids = torch.randint(5, 300, (len(LENGTHS), max(LENGTHS)), generator=torch.Generator().manual_seed(1))
    real = torch.arange(max(LENGTHS)) < torch.tensor(LENGTHS)[:, None]
    return ids.masked_fill(~real, filler), real


def logits_and_gradients(model: LlamaForCausalLM, ids, real, *, attention: str, bfloat16: bool):
    model.set_attn_implementation(attention)
    model.zero_grad()
    padding = None if attention == causal_attention.NAME else real.long()
    with torch.autocast("cpu", torch.bfloat16, enabled=bfloat16):
        logits = model(input_ids=ids, attention_mask=padding).logits.float()
    cross_entropy(logits[:, :-1][real[:, 1:]], ids[:, 1:][real[:, 1:]]).backward()
    return logits.detach()[real], torch.cat([p.grad.flatten() for p in model.parameters()])


def test_in_float32_it_is_the_models_own(model):
    ids, real = rows(filler=0)
    own = logits_and_gradients(model, ids, real, attention="sdpa", bfloat16=False)
    ours = logits_and_gradients(model, ids, real, attention=causal_attention.NAME, bfloat16=False)
    for one, other in zip(ours, own, strict=True):
        assert torch.allclose(one, other, atol=1e-5)


def test_in_bfloat16_it_stays_within_two_hundredths(model):
    ids, real = rows(filler=0)
    own = logits_and_gradients(model, ids, real, attention="sdpa", bfloat16=False)
    ours = logits_and_gradients(model, ids, real, attention=causal_attention.NAME, bfloat16=True)
    for one, other in zip(ours, own, strict=True):
        assert (one - other).norm() < 0.02 * other.norm()


def test_what_stands_behind_a_row_changes_nothing(model):
    found = [
        logits_and_gradients(model, *rows(filler), attention=causal_attention.NAME, bfloat16=True)[0]
        for filler in (0, 7)
    ]
    assert torch.equal(*found)


def test_no_token_sees_a_later_one():
    query, key, value = torch.randn(3, 2, 2, 9, 4, generator=torch.Generator().manual_seed(2))
    before, _ = causal_attention.attend(torch.nn.Identity(), query, key, value, None, scaling=0.5)
    key[:, :, 6:], value[:, :, 6:] = 50.0, -50.0
    after, _ = causal_attention.attend(torch.nn.Identity(), query, key, value, None, scaling=0.5)
    assert torch.equal(before[:, :6], after[:, :6])
    assert not torch.allclose(before[:, 6:], after[:, 6:])
