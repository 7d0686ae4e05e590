"""A gang whose members differ in all they can differ in: each is trained as it would be alone."""

import math
from dataclasses import replace

import pytest
import torch

from clinprompt.backbones.protocol import Placement
from clinprompt.maths.decomposition import neutral_factors
from clinprompt.prompts.attended import AttendedPrompts
from clinprompt.prompts.decomposed import DecomposedPrompts
from clinprompt.prompts.plain import PlainPrompts
from clinprompt.prompts.routed import RoutedPrompts
from clinprompt.training.gang import Member, batch_prompts
from clinprompt.training.loop import train
from clinprompt.training.objectives import Distillation
from tests.made_backbones import tiny_backbone as made_backbone

H = 32
LENGTHS, RANKS, WEIGHTS, TEACHERS = (4, 1, 3, 4), (1, 3, 2, 1), (0.7, 0.0, 2.0, 0.7), (3, 1, 5, 3)


@pytest.fixture(scope="module", params=["llama", "gpt-oss"])
def backbone(request, tmp_path_factory, tiny_backbone):
    if request.param == "llama":
        return tiny_backbone
    return made_backbone(tmp_path_factory.mktemp("gang"), family=request.param)


def random_vectors(length, seed):
    return torch.randn(length, H, generator=torch.Generator().manual_seed(seed)) * 0.2


def unlike_members(make_rows):
    """Other tasks and draws (rows), seeds, rates, batches, budgets, clips; the last differs from the first by seed.

    Dev rows are the training rows, so that training beats the start.
    """
    rates = [
        {"prompt": r, "metaprompt": r, "rows": r / 3, "cols": r / 2, "logits": 4 * r} for r in (0.05, 0.2, 0.01, 0.05)
    ]
    first = Member("a", make_rows(7, seed=1), steps=4, batch=3, seed=11, rates=rates[0], dev=make_rows(7, seed=1))
    return [
        first,
        Member("b", make_rows(2, seed=2), steps=2, batch=5, seed=12, rates=rates[1], clip=0.1, warmup=1),
        Member("c", make_rows(5, seed=3), steps=4, batch=1, seed=13, rates=rates[2], dev=make_rows(5, seed=3)),
        replace(first, name="d", seed=14, rates=rates[3]),
    ]


def source_of(kind, chosen):
    if kind == "plain":
        return PlainPrompts([random_vectors(LENGTHS[n], LENGTHS[n]) for n in chosen])
    if kind in ("attended", "routed", "experts"):
        return mixture_of(kind, chosen)
    factors = [neutral_factors(LENGTHS[n], H, RANKS[n], seed=n) for n in chosen]
    return DecomposedPrompts([random_vectors(LENGTHS[n], n) for n in chosen], factors, shared=False)


def mixture_of(kind, chosen):
    """Mixtures of three sources or experts: they have one length, that of their sources."""
    sources = torch.stack([random_vectors(4, 40 + k) for k in range(3)])
    logits = torch.stack([random_vectors(2, 50 + n)[:, :3] for n in chosen])
    if kind == "attended":
        return AttendedPrompts(torch.stack([random_vectors(4, n) for n in chosen]), sources, logits[:, 0])
    rows = torch.stack([random_vectors(12, 60 + n)[:, :2].reshape(3, 4, 2) for n in chosen])
    if kind == "experts":
        return RoutedPrompts(rows, torch.stack([random_vectors(2, 70 + n) for n in chosen])[:, None], logits)
    return RoutedPrompts(torch.ones(1, 3, 4, 1), sources[None, :, :1], logits, metaprompt=sources[0], temperature=2.0)


def teaching(chosen, **options):
    teachers = [random_vectors(TEACHERS[n], 20 + TEACHERS[n]) for n in chosen]
    weights = [WEIGHTS[n] for n in chosen]
    return Distillation(teachers, Placement.both, weights, temperature=1.5, hidden_layers=(-1, 1), **options)


@pytest.mark.parametrize("kind, placement", [("plain", "suffix"), ("plain", "prefix"), ("decomposed", "both")])
def test_each_member_is_trained_as_it_would_be_alone(backbone, make_rows, kind, placement):
    check_gang(backbone, make_rows, kind, placement)


@pytest.mark.parametrize("kind, placement", [("attended", "suffix"), ("routed", "both"), ("experts", "suffix")])
def test_so_is_each_member_whose_prompt_is_a_mixture(tiny_backbone, make_rows, kind, placement):
    check_gang(tiny_backbone, make_rows, kind, placement)


def check_gang(backbone, make_rows, kind, placement):
    members, everyone = unlike_members(make_rows), range(4)
    options = dict(placement=Placement(placement), dev_every=2)
    together = source_of(kind, everyone)
    result = train(backbone, together, members, distillation=teaching(everyone, top_k=40), **options)
    before = source_of(kind, everyone).folded()
    for n, member in enumerate(members):
        alone = source_of(kind, [n])
        single = train(backbone, alone, [member], distillation=teaching([n], top_k=40), **options)
        [expected] = alone.folded()
        assert expected.shape == (alone.lengths[0], H) == (together.lengths[n], H)
        # Prompts are float32: their moments differ by rounding, which Adam's division shows where gradients are small.
        torch.testing.assert_close(together.folded()[n], expected, rtol=1e-5, atol=1e-6)
        assert not torch.allclose(expected, before[n], atol=1e-4)
        assert result.losses[member.name] == pytest.approx(single.losses[member.name], rel=1e-6)
        assert result.dev_losses[member.name] == pytest.approx(single.dev_losses[member.name], rel=1e-6, nan_ok=True)
        assert result.steps[member.name] == single.steps[member.name] == member.steps
    assert math.isnan(result.dev_losses["b"]) and not result.diverged


def test_the_weight_of_a_teacher_and_the_teacher_itself_matter(tiny_backbone, make_rows):
    members = unlike_members(make_rows)

    def trained(distillation):
        source = source_of("plain", range(4))
        train(tiny_backbone, source, members, placement=Placement.suffix, distillation=distillation)
        return source.folded()

    given, other = teaching(range(4)), teaching(range(4))
    plain, full = trained(None), trained(given)
    stronger = trained(replace(given, weights=[0.7, 0.0, 2.0, 7.0]))
    other.teachers[0] = random_vectors(3, 99)
    another = trained(other)
    for n, (taught, changed) in enumerate([(True, False), (False, False), (True, False), (True, True)]):
        assert torch.allclose(full[n], plain[n]) is not taught
        assert torch.allclose(full[n], stronger[n]) is not changed
        assert torch.allclose(full[n], another[n]) is (n != 0)


def test_a_prompt_is_handed_over_once_however_many_rows_it_has():
    source = source_of("plain", range(4))
    found = batch_prompts(source, [2, 0, 2, 2], Placement.prefix)
    assert found.vectors.shape == (2, 4, H) and found.owner == (1, 0, 1, 1) and found.lengths == (4, 3)
    assert torch.equal(found.vectors[1, :3], source.folded()[2])
