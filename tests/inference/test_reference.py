from unittest.mock import patch

import pytest
import torch

from clinprompt.backbones.protocol import BESIDE_WRITING, Placement
from clinprompt.errors import InputError
from clinprompt.inference.reference import TOGETHER, check_reference, reference, reference_faults
from clinprompt.prompts.card import BackboneIdentity, PromptCard
from clinprompt.prompts.prompt_file import SoftPrompt


def made(backbone, placement, *, seed=0, length=5, scale=0.4):
    vectors = torch.randn(length, 32, generator=torch.Generator().manual_seed(seed)) * scale
    identity = BackboneIdentity(name="tiny", fingerprint=backbone.fingerprint, tokenizer="", hidden=32)
    card = PromptCard(
        name="a", method="prompt-tuning", placement=placement, length=length, trainable=32 * length, backbone=identity,
        template="markers", template_hash="", reference=reference(backbone, vectors, placement),
    )  # fmt: skip
    return SoftPrompt(vectors, card)


@pytest.fixture(params=BESIDE_WRITING)
def prompt(request, backbone):
    return made(backbone, request.param)


def forward_with(backbone, change):
    true = backbone.forward
    return patch.object(backbone, "forward", lambda rows, prompts, **more: true(rows, change(prompts), **more))


def test_the_reference_holds_the_strongest_logits_with_and_without_the_prompt(backbone, prompt):
    found = prompt.card.reference
    assert len(found.tokens) == len(set(found.tokens)) == len(found.with_prompt) == len(found.without_prompt)
    assert list(found.with_prompt) == sorted(found.with_prompt, reverse=True)
    assert found.with_prompt != found.without_prompt


def test_a_prompt_that_works_is_accepted_also_from_its_card_in_json(backbone, prompt):
    check_reference(backbone, prompt, where="x")
    card = PromptCard.model_validate_json(prompt.card.model_dump_json())
    check_reference(backbone, SoftPrompt(prompt.vectors, card), where="x")


def test_a_backbone_that_ignores_the_prompt_is_noticed(backbone, prompt):
    with forward_with(backbone, lambda prompts: None), pytest.raises(InputError, match="no effect") as caught:
        check_reference(backbone, prompt, where="bank/a.safetensors")
    assert "bank/a.safetensors" in str(caught.value) and "train the prompt again" in str(caught.value)


def test_a_prompt_that_was_altered_or_moved_is_noticed(backbone, prompt):
    other = SoftPrompt(prompt.vectors.roll(1, dims=1), prompt.card)
    with pytest.raises(InputError, match=r"differ by \d"):
        check_reference(backbone, other, where="x")
    place = next(place for place in Placement if place != prompt.card.placement)
    moved = SoftPrompt(prompt.vectors, prompt.card.model_copy(update={"placement": place}))
    with pytest.raises(InputError, match="does not act as it did"):
        check_reference(backbone, moved, where="x")


def test_rounding_is_forgiven(backbone, prompt):
    near = SoftPrompt(prompt.vectors.bfloat16().float(), prompt.card)
    assert not torch.equal(near.vectors, prompt.vectors)
    check_reference(backbone, near, where="x")


def test_a_card_without_reference_is_not_checked(backbone, prompt):
    bare = SoftPrompt(prompt.vectors, prompt.card.model_copy(update={"reference": None}))
    with forward_with(backbone, lambda prompts: None):
        check_reference(backbone, bare, where="x")


def test_many_prompts_are_checked_together_and_each_hears_what_it_hears_alone(backbone):
    prompts = {
        f"p{n}": made(backbone, BESIDE_WRITING[n % 3], seed=n, length=2 + n % 4, scale=2.0) for n in range(TOGETHER)
    }
    prompts |= {f"more {n}": made(backbone, Placement.suffix, seed=n, scale=2.0) for n in range(TOGETHER)}
    with patch.object(backbone, "forward", wraps=backbone.forward) as forward:
        assert reference_faults(backbone, prompts) == {}
    rows = [len(call.args[0]) for call in forward.call_args_list]
    assert max(rows) == TOGETHER and sum(rows) < len(prompts) + 10
    prompts["weak"] = made(backbone, Placement.suffix, scale=1e-6)  # in doubt in a batch, and true alone
    wrong = prompts["p1"] = SoftPrompt(prompts["p1"].vectors.roll(1, dims=1), prompts["p1"].card)
    bare = prompts["bare"] = SoftPrompt(wrong.vectors, wrong.card.model_copy(update={"reference": None}))
    faults = reference_faults(backbone, prompts)
    with pytest.raises(InputError) as alone:
        check_reference(backbone, wrong, where="p1")
    assert bare and {where: str(fault) for where, fault in faults.items()} == {"p1": str(alone.value)}
    with forward_with(backbone, lambda prompts: None):
        silent = reference_faults(backbone, prompts)
    assert silent.keys() == prompts.keys() - {"bare"}
    assert all("no effect" in fault.what for fault in silent.values())
