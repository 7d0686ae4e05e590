import pytest
import torch

from clinprompt.backbones.protocol import Generation, Placement
from clinprompt.errors import InputError
from clinprompt.inference.engines.local import LocalEngine, Request
from clinprompt.training.gang import Member
from clinprompt.training.loop import train
from clinprompt.training.lora import LoraSize, low_rank, low_rank_applied, size_within
from clinprompt.training.weights import all_weights, weights_applied


def answers_of(backbone, rows):
    return LocalEngine(backbone).answers([Request(row) for row in rows], Generation(5))


def logits(backbone, rows):
    with torch.no_grad():
        return backbone.forward(rows, None).logits


def fit(backbone, source, rows, rate):
    rates = {group.name: rate for group in source.groups()}
    member = Member("a", rows, steps=15, batch=4, seed=0, rates=rates)
    return train(backbone, source, [member], placement=Placement.suffix)


def test_fine_tuning_learns_is_saved_and_leaves_the_backbone_as_it_was(tiny_backbone, make_rows, tmp_path):
    rows = make_rows(4)
    before = logits(tiny_backbone, rows)
    with all_weights(tiny_backbone) as source:
        assert source.trainable == sum(p.numel() for p in tiny_backbone.model.parameters())
        fit(tiny_backbone, source, rows, 0.01)
        tuned = logits(tiny_backbone, rows)
        source.save(tmp_path / "weights.safetensors")
    assert torch.equal(logits(tiny_backbone, rows), before)
    assert not any(p.requires_grad for p in tiny_backbone.model.parameters())
    with weights_applied(tiny_backbone, tmp_path / "weights.safetensors"):
        torch.testing.assert_close(logits(tiny_backbone, rows), tuned)
    assert torch.equal(logits(tiny_backbone, rows), before)
    assert not torch.allclose(tuned, before)


@pytest.mark.parametrize("targets", ["all-linear", "q_proj,v_proj"])
def test_lora_learns_is_saved_as_a_peft_folder_and_comes_off(tiny_backbone, make_rows, tmp_path, targets):
    rows = make_rows(4)
    before, answers = logits(tiny_backbone, rows), answers_of(tiny_backbone, rows)
    with low_rank(tiny_backbone, LoraSize(2, targets), alpha=4, seed=1) as source:
        torch.testing.assert_close(logits(tiny_backbone, rows), before)  # B starts at zero
        first = fit(tiny_backbone, source, rows, 0.05)
        tuned = logits(tiny_backbone, rows)
        source.save(tmp_path / "lora")
    assert (tmp_path / "lora" / "adapter_model.safetensors").is_file()
    assert first.losses["a"] < 8
    assert torch.equal(logits(tiny_backbone, rows), before)
    assert answers_of(tiny_backbone, rows) == answers
    with low_rank_applied(tiny_backbone, tmp_path / "lora"):
        torch.testing.assert_close(logits(tiny_backbone, rows), tuned, rtol=1e-4, atol=1e-4)
    assert torch.equal(logits(tiny_backbone, rows), before)


@pytest.mark.parametrize("targets", ["all-linear", "q_proj,v_proj"])
@pytest.mark.parametrize("share", [0.5, 1.0, 2.9])
def test_the_largest_lora_within_so_many_numbers_is_found(tiny_backbone, targets, share):
    with low_rank(tiny_backbone, LoraSize(1, targets), alpha=1, seed=0) as source:
        whole = sum(group.tensor.numel() for group in source.groups())
    numbers = int(share * whole)
    size = size_within(tiny_backbone, numbers=numbers, targets=targets)
    with low_rank(tiny_backbone, size, alpha=1, seed=0) as source:
        found = sum(group.tensor.numel() for group in source.groups())
        names = [name for name, one in source.wrapped.named_parameters() if one.requires_grad]
    assert (found, size.rank, size.layers) == {
        0.5: (whole // 3, 1, 1),
        1.0: (whole, 1, None),
        2.9: (2 * whole, 2, None),
    }[share]
    assert share >= 1 or all(".layers.2." in name for name in names)  # the last of three


def test_a_lora_that_is_always_larger_is_refused(tiny_backbone):
    with pytest.raises(InputError, match="more than the prompt's 16") as told:
        size_within(tiny_backbone, numbers=16, targets="all-linear")
    assert "q_proj" in told.value.fix
