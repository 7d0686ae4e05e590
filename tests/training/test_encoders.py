"""Encoders through the one training loop: prompts, heads and weights, each member as it would be alone."""

import pytest
import torch

from clinprompt.backbones.protocol import Placement
from clinprompt.prompts.encoded import EncodedPrompts
from clinprompt.prompts.headed import Headed
from clinprompt.prompts.per_layer import PerLayerPrompts
from clinprompt.prompts.plain import PlainPrompts
from clinprompt.prompts.source import ParameterGroup
from clinprompt.training.gang import Member, batch_prompts
from clinprompt.training.loop import train
from tests.fake_encoder import FakeEncoder, H, L, some_heads, some_questions

LENGTHS = (3, 1, 2)


def drawn(n, *layers):
    return torch.randn(*layers, LENGTHS[n], H, generator=torch.Generator().manual_seed(n)) * 0.3


def source_of(kind, chosen, heads=None):
    if kind == "per layer":
        prompts = PerLayerPrompts([drawn(n, L) for n in chosen])
    elif kind == "plain":
        prompts = PlainPrompts([drawn(n) for n in chosen])
    elif kind == "none":
        prompts = None
    else:
        prompts = EncodedPrompts(
            [drawn(n) for n in chosen], encoder=kind, width=4, seed=list(chosen), residual=kind == "mlp"
        )
    heads = some_heads(3) if heads is None else heads
    return Headed(prompts, {name: tensor[list(chosen)] for name, tensor in heads.items()})


def members_for(source, **options):
    rates = {group.name: 0.03 for group in source.groups()}
    sizes = [("a", 5, 2), ("b", 3, 3), ("c", 4, 1)]
    return [
        Member(name, some_questions(size, seed=i), steps=4, batch=batch, seed=i, rates=rates, warmup=1, **options)
        for i, (name, size, batch) in enumerate(sizes)
    ]


def state(source, n):
    return [source.folded()[n], *source.folded_heads(n).values()]


@pytest.mark.parametrize("kind", ["none", "plain", "per layer", "mlp", "lstm"])
def test_each_member_is_trained_as_it_would_be_alone_with_its_own_heads(kind):
    together = source_of(kind, range(3))
    members = members_for(together)
    before = [state(together, n) for n in range(3)]
    result = train(FakeEncoder(), together, members, placement=Placement.both)
    for n, member in enumerate(members):
        alone = source_of(kind, [n])
        single = train(FakeEncoder(), alone, [member], placement=Placement.both)
        for found, expected, begun in zip(state(together, n), state(alone, 0), before[n], strict=True):
            torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)
            assert not found.numel() or not torch.allclose(found, begun, atol=1e-3)
        assert result.losses[member.name] == pytest.approx(single.losses[member.name], rel=1e-5)


def test_the_heads_of_others_change_nothing():
    heads = some_heads(3)
    other = {name: tensor.clone() for name, tensor in heads.items()}
    for name, tensor in some_heads(3, seed=9).items():
        other[name][1:] = tensor[1:]
    sources = [source_of("plain", range(3), given) for given in (heads, other)]
    results = [train(FakeEncoder(), source, members_for(source), placement=Placement.suffix) for source in sources]
    assert results[0].losses["a"] == results[1].losses["a"] and results[0].losses["b"] != results[1].losses["b"]
    for one, same in zip(state(sources[0], 0), state(sources[1], 0), strict=True):
        assert torch.equal(one, same)


def test_the_gradient_of_a_question_stays_with_its_member():
    source = source_of("plain", range(3))
    FakeEncoder().forward(some_questions(2), batch_prompts(source, [1, 1], Placement.both)).losses.sum().backward()
    for group in source.groups():
        assert group.tensor.grad.reshape(3, -1).ne(0).any(dim=1).tolist() == [False, True, False], group.name


def test_one_members_heads_train_with_the_backbones_own_weights():
    backbone = FakeEncoder()
    backbone.model.requires_grad_(True)
    weights = [ParameterGroup(name, weight, per_member=False) for name, weight in backbone.model.named_parameters()]
    source = Headed(None, some_heads(1), weights)
    before = [group.tensor.detach().clone() for group in source.groups()]
    rows = some_questions(4)
    rates = {group.name: 0.02 for group in source.groups()}
    member = Member("a", rows, steps=25, batch=4, seed=0, rates=rates)

    def loss():
        with torch.no_grad():
            return float(backbone.forward(rows, batch_prompts(source, [0] * 4, Placement.prefix)).losses.mean())

    first = loss()
    train(backbone, source, [member], placement=Placement.prefix)
    assert loss() < 0.5 * first
    for group, begun in zip(source.groups(), before, strict=True):
        assert not torch.equal(group.tensor, begun), group.name


@pytest.mark.parametrize("encoder, residual", [("mlp", True), ("lstm", False)])
def test_encoded_prompts_of_a_decoder_train_side_by_side_as_alone(tiny_backbone, make_rows, encoder, residual):
    starts = [torch.randn(length, 32, generator=torch.Generator().manual_seed(length)) * 0.2 for length in (4, 2)]

    def source(chosen):
        given = [starts[n] for n in chosen]
        return EncodedPrompts(given, encoder=encoder, width=8, seed=list(chosen), residual=residual)

    together = source(range(2))
    rates = {group.name: 0.02 for group in together.groups()}
    members = [
        Member(name, make_rows(4, seed=n), steps=8, batch=4, seed=n, rates=rates, warmup=1)
        for n, name in enumerate("ab")
    ]
    losses = []
    train(
        tiny_backbone, together, members, placement=Placement.suffix, watch=lambda report: losses.append(report.losses)
    )
    for n, member in enumerate(members):
        alone = source([n])
        begun = alone.folded()[0]
        train(tiny_backbone, alone, [member], placement=Placement.suffix)
        torch.testing.assert_close(together.folded()[n], alone.folded()[0], rtol=1e-3, atol=1e-4)
        assert not torch.allclose(alone.folded()[0], begun, atol=0.01)
        assert losses[-1][member.name] < losses[0][member.name]
        # What was trained is what the folded prompt does.
        folded = PlainPrompts([together.folded()[n]])
        with torch.no_grad():
            one, other = (
                tiny_backbone.forward(member.rows, batch_prompts(made, [number] * 4, Placement.suffix)).losses
                for made, number in ((together, n), (folded, 0))
            )
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-6)
