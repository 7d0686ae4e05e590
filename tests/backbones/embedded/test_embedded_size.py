"""The named sizes: their weights, and that each begins by copying."""

from __future__ import annotations

import pytest
import torch
from torch.nn.functional import cross_entropy

from clinprompt.backbones.embedded.pretrain import corpus_tokenizer, new_model
from clinprompt.backbones.embedded.size import SIZES, named_size
from clinprompt.errors import InputError


@pytest.fixture(scope="module")
def tokenizer():
    return corpus_tokenizer(seed=1, notes=5, vocabulary=300)


@torch.no_grad()
@pytest.mark.parametrize(("name", "weights"), [("small", 0.43e6), ("base", 1.47e6), ("large", 3.05e6)])
def test_a_size_has_its_weights_and_copies_untrained(tokenizer, name, weights):
    model = new_model(named_size(name), seed=3, tokenizer=tokenizer).eval()
    assert sum(parameter.numel() for parameter in model.parameters()) == pytest.approx(weights, rel=0.01)
    assert model.config.head_dim == 32
    once = torch.randint(10, 2048, (8, 30), generator=torch.Generator().manual_seed(2))
    ids = torch.cat([once, once], dim=1)
    loss = cross_entropy(model(input_ids=ids[:, :-1]).logits.transpose(1, 2), ids[:, 1:], reduction="none")
    assert loss[:, 30:].mean() < loss[:, :29].mean() - 1.5


def test_sizes_are_found_by_name():
    assert {name: size.name for name, size in SIZES.items()} == {name: name for name in ("small", "base", "large")}
    with pytest.raises(InputError) as told:
        named_size("huge")
    assert told.value.allowed == "small, base, large"
