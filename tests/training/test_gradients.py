from dataclasses import replace

import pytest
import torch

from clinprompt.backbones.protocol import Placement
from clinprompt.errors import InputError
from clinprompt.prompts.plain import PlainPrompts
from clinprompt.prompts.source import ParameterGroup
from clinprompt.training.gang import Member
from clinprompt.training.gradients import refuse_silence
from clinprompt.training.loop import train


def groups(own, shared=None):
    """A per-member group with this gradient, and a shared one when given."""
    found = []
    for name, gradient in (("own", own), ("shared", shared)):
        if gradient is not None:
            tensor = torch.zeros_like(torch.tensor(gradient), requires_grad=True)
            tensor.grad = torch.tensor(gradient)
            found.append(ParameterGroup(name, tensor, per_member=name == "own"))
    return found


ONE_SILENT = [[1e-30, 0.0], [0.0, 0.0]]
BOTH = torch.tensor([True, True])


def test_a_new_member_without_gradient_is_named():
    with pytest.raises(InputError, match="no gradient") as caught:
        refuse_silence(groups(ONE_SILENT), ["a", "b"], torch.tensor([1.0, 1.0]), new=BOTH)
    assert caught.value.where == "b"
    never = [ParameterGroup("own", torch.zeros(2, 2, requires_grad=True), per_member=True)]
    with pytest.raises(InputError) as caught:
        refuse_silence(never, ["a", "b"], torch.tensor([1.0, 1.0]), new=BOTH)
    assert caught.value.where == "a, b"


@pytest.mark.parametrize("loss", [float("nan"), float("inf"), 0.0])
def test_a_member_that_diverges_or_has_nothing_to_learn_is_not_silent(loss):
    refuse_silence(groups(ONE_SILENT), ["a", "b"], torch.tensor([1.0, loss]), new=BOTH)


def test_a_group_may_have_one_number_for_each_member():
    with pytest.raises(InputError) as caught:
        refuse_silence(groups([0.0, 1.0]), ["a", "b"], torch.tensor([1.0, 1.0]), new=BOTH)
    assert caught.value.where == "a"


def test_later_steps_are_not_looked_at_and_shared_gradients_speak_for_all():
    losses = torch.tensor([1.0, 1.0])
    refuse_silence(groups(ONE_SILENT), ["a", "b"], losses, new=torch.tensor([True, False]))
    refuse_silence(groups(ONE_SILENT, shared=[0.0, 1.0]), ["a", "b"], losses, new=BOTH)
    with pytest.raises(InputError):
        refuse_silence(groups(ONE_SILENT, shared=[0.0, 0.0]), ["a", "b"], losses, new=BOTH)


def test_a_backbone_that_swallows_gradients_is_refused_in_the_first_step(tiny_backbone, make_rows, monkeypatch):
    forward = tiny_backbone.forward

    def swallowing(rows, prompts, **options):
        # As dynamically quantised linears do: right values, and zeros going back.
        output = forward(rows, prompts, **options)
        return replace(output, logits=output.logits.detach() + 0 * output.logits)

    monkeypatch.setattr(tiny_backbone, "forward", swallowing)
    source = PlainPrompts(torch.randn(1, 4, 32))
    member = Member("a", make_rows(2), steps=3, batch=2, seed=0, rates={"prompt": 0.1})
    with pytest.raises(InputError, match="another precision"):
        train(tiny_backbone, source, [member], placement=Placement.suffix)
