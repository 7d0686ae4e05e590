from dataclasses import dataclass, replace

import pytest
import torch
from torch.distributions import Bernoulli, kl_divergence

from clinprompt.backbones.protocol import Placement, PromptVectors
from clinprompt.prompts.headed import Headed
from clinprompt.prompts.plain import PlainPrompts
from clinprompt.training.gang import Member, batch_prompts
from clinprompt.training.loop import train
from clinprompt.training.objectives import ReadingDistillation
from tests.fake_encoder import FakeEncoder, H, L, some_heads, some_questions

T, WEIGHTS, LAYERS = 1.7, (0.5, 0.0, 2.0), (-1, 1)


@dataclass(frozen=True)
class Teacher:
    """A finished prompt with its heads."""

    vectors: torch.Tensor
    heads: dict


def vectors(*shape, seed=0):
    return torch.randn(*shape, H, generator=torch.Generator().manual_seed(seed)) * 0.3


def teacher(seed, *shape, width=5):
    heads = {name: tensor[0] for name, tensor in some_heads(1, seed=50 + seed, width=width).items()}
    return Teacher(vectors(*shape, seed=seed), heads)


def teaching(**options):
    # Heads of different widths, one teacher without a prompt: it was trained with its heads alone.
    teachers = [teacher(1, 2), teacher(2, 0, width=3), teacher(3, 4, width=7)]
    return ReadingDistillation(teachers, Placement.suffix, WEIGHTS, temperature=T, hidden_layers=LAYERS, **options)


def student():
    return Headed(PlainPrompts([vectors(3, seed=n) for n in (10, 11, 12)]), some_heads(3))


@pytest.fixture
def members():
    rates = {group.name: 0.03 for group in student().groups()}
    sizes = [("a", 5), ("b", 2), ("c", 6)]
    return [
        Member(name, some_questions(size, seed=i), steps=5, batch=2, seed=i, rates=rates, warmup=1)
        for i, (name, size) in enumerate(sizes)
    ]


def reference(backbone, row, source, n, distillation):
    """λ · mean over the tokens with a place of T² (KL of starts + KL of ends) + hidden distance, one token at a time."""
    one = distillation.teachers[n]
    with torch.no_grad():
        heads = {name: tensor[None] for name, tensor in one.heads.items()}
        said = PromptVectors(one.vectors[None], distillation.placement, heads=heads)
        taught = backbone.forward([row], said, hidden_layers=LAYERS)
    output = backbone.forward([row], batch_prompts(source, [n], Placement.both), hidden_layers=LAYERS)
    losses = []
    for t, place in enumerate(row.places):
        if place is None:
            continue
        loss = 0.0
        for side in (0, 1):
            p, q = (Bernoulli(logits=x.edges[t, side] / T) for x in (taught, output))
            loss = loss + T * T * kl_divergence(p, q)
        apart = (output.hidden[t] - taught.hidden[t]).square().mean() / taught.hidden[t].square().mean()
        losses.append(loss + apart)
    return distillation.weights[n] * torch.stack(losses).mean()


@pytest.mark.parametrize("tokens", [30, 10_000])
@pytest.mark.parametrize("budget", [0, 3000, 2**30])
def test_losses_and_gradients_are_those_of_each_question_alone(members, budget, tokens):
    backbone, source, given = FakeEncoder(), student(), teaching(budget=budget)
    targets = given.targets(backbone, members, tokens_per_forward=tokens, notes=None)
    tensors = [group.tensor for group in source.groups()]
    for step, places in enumerate([[(0, 1), (2, 0), (1, 1), (0, 2)], [(2, 5), (0, 1)], [(1, 0), (1, 1)]]):
        chunk = [(n, members[n].rows[i]) for n, i in places]
        said = targets.of(chunk, step=step)
        prompts = batch_prompts(source, [n for n, _ in chunk], Placement.both)
        output = backbone.forward([row for _, row in chunk], prompts, hidden_layers=LAYERS)
        found = targets.losses(chunk, output, said)
        if said is None:
            assert found.tolist() == [0, 0] and {n for n, _ in chunk} == {1}
            continue
        expected = torch.stack([reference(backbone, row, source, n, given) for n, row in chunk])
        torch.testing.assert_close(found, expected, rtol=1e-7, atol=1e-9)
        assert all((value > 0) is (WEIGHTS[n] > 0) for value, (n, _) in zip(found.tolist(), chunk, strict=True))
        gradients = [torch.autograd.grad(loss.sum(), tensors, allow_unused=True) for loss in (found, expected)]
        for one, other in zip(*gradients, strict=True):
            assert (one is None) is (other is None)
            if one is not None:
                torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-7)


def trained(members, distillation, **options):
    source = student()
    train(FakeEncoder(), source, members, placement=Placement.both, distillation=distillation, **options)
    return [*source.folded(), *(tensor for n in range(3) for tensor in source.folded_heads(n).values())]


def test_training_is_the_same_whether_targets_are_kept_or_not(members):
    never = trained(members, teaching(budget=0))
    for options in (dict(), dict(tokens_per_forward=40)):
        torch.testing.assert_close(trained(members, teaching(), **options), never, rtol=1e-5, atol=1e-6)
    assert not torch.allclose(trained(members, None)[0], never[0], atol=1e-3)


@pytest.mark.parametrize("budget", [0, 2000, 2**30])
def test_each_question_is_run_once_and_no_more_is_kept_than_the_budget_allows(members, budget):
    backbone, given = FakeEncoder(), teaching(budget=budget)
    targets = given.targets(backbone, members, tokens_per_forward=40, notes=None)
    backbone.runs.clear()
    for step in range(3):
        for n, member in enumerate(members):
            for row in member.rows:
                targets.of([(n, row)], step=step)
    size = sum(part.nbytes for record in targets.kept.values() for part in record.parts())
    assert size <= budget
    assert {0: not targets.kept, 2000: 0 < len(targets.kept) < 11, 2**30: len(targets.kept) == 11}[budget]
    if budget == 2**30:
        assert sum(backbone.runs) == 5 + 6  # the second member has no teacher


def test_teachers_are_the_same_only_when_their_heads_are_too(members):
    first = teacher(1, 2)
    same, other = Teacher(first.vectors.clone(), dict(first.heads)), Teacher(first.vectors, teacher(9, 2).heads)
    given = replace(teaching(), teachers=[first, same, other])
    targets = given.targets(FakeEncoder(), members, tokens_per_forward=40, notes=None)
    assert targets.teacher == [0, 0, 2]


def test_each_member_learns_from_its_teacher_as_it_would_alone(members):
    together = student()
    train(FakeEncoder(), together, members, placement=Placement.both, distillation=teaching())
    for n, member in enumerate(members):
        alone = Headed(PlainPrompts([vectors(3, seed=10 + n)]), {k: v[n : n + 1] for k, v in some_heads(3).items()})
        given = replace(teaching(), teachers=[teaching().teachers[n]], weights=[WEIGHTS[n]])
        train(FakeEncoder(), alone, [member], placement=Placement.both, distillation=given)
        torch.testing.assert_close(together.folded()[n], alone.folded()[0], rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(together.folded_heads(n), alone.folded_heads(0), rtol=1e-4, atol=1e-5)


def test_distillation_pulls_the_student_towards_its_teacher():
    backbone, rows, one = FakeEncoder(), some_questions(5, seed=4), teacher(5, L, 3)  # a prompt per layer teaches too
    given = ReadingDistillation([one], Placement.prefix, [20.0], hidden_layers=())
    source = Headed(PlainPrompts([vectors(3, seed=1)]), some_heads(1))

    def distance():
        with torch.no_grad():
            heads = {name: tensor[None] for name, tensor in one.heads.items()}
            said = backbone.forward(rows, PromptVectors(one.vectors[None], Placement.prefix, (0,) * 5, heads=heads))
            own = backbone.forward(rows, batch_prompts(source, [0] * 5, Placement.prefix))
        return float(kl_divergence(Bernoulli(logits=said.edges), Bernoulli(logits=own.edges)).mean())

    before = distance()
    rates = {group.name: 0.03 for group in source.groups()}
    member = Member("a", rows, steps=40, batch=5, seed=0, rates=rates, clip=1e9)
    train(backbone, source, [member], placement=Placement.prefix, distillation=given)
    assert distance() < 0.3 * before
