from unittest.mock import patch

import pytest
import torch

from clinprompt.backbones.protocol import Placement
from clinprompt.errors import InputError
from clinprompt.inference.reference import check_reference, reference
from clinprompt.prompts.card import BackboneIdentity, PromptCard
from clinprompt.prompts.prompt_file import SoftPrompt


@pytest.fixture(params=list(Placement))
def prompt(request, backbone):
    vectors = torch.randn(5, 32, generator=torch.Generator().manual_seed(0)) * 0.4
    identity = BackboneIdentity(name="tiny", fingerprint=backbone.fingerprint, tokenizer="", hidden=32)
    card = PromptCard(
        name="a", method="prompt-tuning", placement=request.param, length=5, trainable=160, backbone=identity,
        template="markers", template_hash="", reference=reference(backbone, vectors, request.param),
    )  # fmt: skip
    return SoftPrompt(vectors, card)


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
