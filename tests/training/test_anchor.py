"""Members held to their start: as in a gang so alone, whole however a step is cut, and nearer the more they are held."""

from __future__ import annotations

import math

import pytest
import torch

from clinprompt.backbones.protocol import Placement, PromptVectors
from clinprompt.maths.decomposition import neutral_factors
from clinprompt.maths.prior import pull
from clinprompt.prompts.decomposed import DecomposedPrompts
from clinprompt.training.anchor import Anchor, Prior
from clinprompt.training.gang import Member
from clinprompt.training.loop import train
from clinprompt.training.objectives import Distillation

P, H = 3, 32
RATES = {"metaprompt": 0.05, "rows": 0.02, "cols": 0.02}


def vectors(seed):
    return torch.randn(P, H, generator=torch.Generator().manual_seed(seed)) * 0.2


def prompts(chosen, shift="product"):
    factors = [neutral_factors(P, H, n + 1, seed=n, shift=shift) for n in chosen]
    return DecomposedPrompts([vectors(n) for n in chosen], factors, shared=False, shift=shift)


def anchor(source, chosen, *, kl=(0.0, 0.5, 2.0), prior=(0.3, 0.0, 2.0)):
    starts = source.folded()
    answers = Distillation(starts, Placement.suffix, [kl[n] for n in chosen], hidden_layers=(), top_k=40)
    variances = [vectors(50 + n).square() + 0.01 for n in chosen]
    return Anchor(answers, Prior(source, starts, variances, [prior[n] for n in chosen]))


def gang(make_rows):
    return [
        Member(name, make_rows(5, seed=n), steps=3, batch=n + 2, seed=n, rates=RATES) for n, name in enumerate("abc")
    ]


@pytest.mark.parametrize("shift", ["product", "additive"])
def test_each_member_is_held_as_it_would_be_alone(tiny_backbone, make_rows, shift):
    members, together = gang(make_rows), prompts(range(3), shift)
    train(tiny_backbone, together, members, placement=Placement.suffix, distillation=anchor(together, range(3)))
    for n, member in enumerate(members):
        alone = prompts([n], shift)
        train(tiny_backbone, alone, [member], placement=Placement.suffix, distillation=anchor(alone, [n]))
        torch.testing.assert_close(together.folded()[n], alone.folded()[0], rtol=1e-5, atol=1e-6)
        free = prompts([n], shift)
        train(tiny_backbone, free, [member], placement=Placement.suffix)
        assert not torch.allclose(alone.folded()[0], free.folded()[0], atol=1e-4)


def test_a_step_in_pieces_has_the_gradient_of_the_whole_and_of_the_formula(tiny_backbone, make_rows):
    [_, _, member] = gang(make_rows)
    member = Member("c", member.rows, steps=1, batch=5, seed=2, rates=RATES, clip=math.inf)

    def gradient(limit, held=True):
        """What one step's optimiser was given: its first moment, of a source that has left its start."""
        source = prompts([2])
        holding = anchor(source, [2], kl=(0, 0, 0))
        with torch.no_grad():
            source.metaprompt.mul_(1.5)
        seen = []
        source.metaprompt.register_post_accumulate_grad_hook(lambda tensor: seen.append(tensor.grad.clone()))
        train(
            tiny_backbone, source, [member], placement=Placement.suffix, tokens_per_forward=limit,
            distillation=holding if held else None,
        )  # fmt: skip
        return seen[-1], holding.prior

    whole, prior = gradient(8192)
    torch.testing.assert_close(gradient(40)[0], whole, rtol=1e-4, atol=1e-6)
    moved = (vectors(2) * 1.5).requires_grad_()
    (prior.weights[0] * pull(moved[None], prior.centres[0][None], prior.variances[0][None])).sum().backward()
    torch.testing.assert_close((whole - gradient(8192, held=False)[0])[0], moved.grad, rtol=1e-4, atol=1e-6)


def test_the_more_it_is_held_the_nearer_it_stays(tiny_backbone, make_rows):
    [_, _, member] = gang(make_rows)
    member = Member("c", member.rows, steps=12, batch=5, seed=2, rates=RATES)

    def ended(**weights):
        source = prompts([2])
        start = source.folded()[0]
        given = dict.fromkeys(("kl", "prior"), (0, 0, 0)) | weights
        train(tiny_backbone, source, [member], placement=Placement.suffix, distillation=anchor(source, [2], **given))
        said = [
            tiny_backbone.forward(member.rows, PromptVectors(one[None], Placement.suffix, owner=(0,) * 5)).logits
            for one in (start, source.folded()[0])
        ]
        first, last = (logits.log_softmax(-1) for logits in said)
        return float((source.folded()[0] - start).norm()), float((first.exp() * (first - last)).sum(-1).mean())

    (far, changed), (near, _), (_, alike) = ended(), ended(prior=(0, 0, 30)), ended(kl=(0, 0, 30))
    assert near < 0.7 * far and alike < 0.7 * changed


def test_an_interrupted_run_is_held_to_the_same_start(tiny_backbone, make_rows, tmp_path):
    class Killed(Exception):
        pass

    def run(path, *, kill_at=None):
        source = prompts(range(3))

        def watch(report):
            if report.step == kill_at:
                raise Killed

        train(
            tiny_backbone, source, gang(make_rows), placement=Placement.suffix,
            distillation=anchor(source, range(3)), checkpoint=path, save_every=0.0, watch=watch,
        )  # fmt: skip
        return source.folded()

    straight = run(tmp_path / "straight.safetensors")
    with pytest.raises(Killed):
        run(tmp_path / "killed.safetensors", kill_at=2)
    for one, other in zip(straight, run(tmp_path / "killed.safetensors"), strict=True):
        assert torch.equal(one, other)
