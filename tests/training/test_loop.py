import math
from dataclasses import replace

import pytest
import torch

from clinprompt.backbones.protocol import BESIDE_WRITING, Placement, PromptVectors
from clinprompt.errors import InputError
from clinprompt.maths.decomposition import neutral_factors
from clinprompt.maths.mixture import mixing_probabilities
from clinprompt.prompts.decomposed import DecomposedPrompts
from clinprompt.prompts.plain import PlainPrompts
from clinprompt.training.gang import Member, Mixture
from clinprompt.training.loop import train
from clinprompt.training.objectives import Distillation
from clinprompt.training.optimiser import GangAdamW

P, H = 4, 32


class Killed(Exception):
    pass


def starts(n, seed=0):
    return torch.randn(n, P, H, generator=torch.Generator().manual_seed(seed)) * 0.2


def gang(make_rows, *, steps=6):
    return [
        Member("a", make_rows(7, seed=1), steps=steps, batch=3, seed=11, rates={"prompt": 0.05}),
        Member("b", make_rows(2, seed=2), steps=steps - 2, batch=5, seed=12, rates={"prompt": 0.2}, clip=0.1),
        Member(
            "c", make_rows(5, seed=3), steps=steps, batch=1, seed=13, rates={"prompt": 0.01}, dev=make_rows(3, seed=4)
        ),
    ]


@pytest.mark.parametrize("placement", BESIDE_WRITING)
def test_a_gang_equals_its_members_trained_alone(tiny_backbone, make_rows, placement):
    members, start = gang(make_rows), starts(3)
    together = PlainPrompts(start)
    result = train(tiny_backbone, together, members, placement=placement, dev_every=2)
    for n, member in enumerate(members):
        alone = PlainPrompts(start[n : n + 1])
        single = train(tiny_backbone, alone, [member], placement=placement, dev_every=2)
        torch.testing.assert_close(together.folded()[n], alone.folded()[0], rtol=1e-6, atol=1e-7)
        assert result.losses[member.name] == pytest.approx(single.losses[member.name], rel=1e-5)
        assert result.steps[member.name] == member.steps
    assert not torch.allclose(torch.stack(together.folded()), start, atol=1e-3)


@pytest.mark.parametrize("tokens", [40, 97, 300])
def test_micro_batches_give_the_same_gradients_and_losses(tiny_backbone, make_rows, tokens, monkeypatch):
    seen = []

    class Watched(GangAdamW):
        def step(self, *arguments, **options):
            seen[-1].append([group.tensor.grad.clone() for group in self.groups])
            super().step(*arguments, **options)

    monkeypatch.setattr("clinprompt.training.loop.GangAdamW", Watched)
    results = []
    for limit in (8192, tokens):
        seen.append([])
        source, members, mixture = joint(make_rows)
        arguments = dict(placement=Placement.suffix, mixture=mixture, distillation=distillation())
        results.append(train(tiny_backbone, source, members, **arguments, tokens_per_forward=limit))
    assert results[1].losses == pytest.approx(results[0].losses, rel=1e-6)
    for whole, pieces in zip(*seen, strict=True):
        # Prompts are float32, so that their gradients are rounded once per piece.
        torch.testing.assert_close(pieces, whole, rtol=1e-4, atol=1e-6)


def joint(make_rows):
    members = [
        Member(
            name, make_rows(4, seed=i), steps=8, batch=2, seed=i, rates={"metaprompt": 0.05, "rows": 0.02, "cols": 0.03}
        )
        for i, name in enumerate("abc")
    ]
    source = DecomposedPrompts(starts(1)[0], [neutral_factors(P, H, 2, seed=i) for i in range(3)], shared=True)
    mixture = Mixture(mixing_probabilities([4, 4, 4], mixing="uniform"), batch=4, seed=5)
    return source, members, mixture


def distillation():
    return Distillation(starts(3, seed=9), Placement.prefix, weights=[0.7] * 3, temperature=2.0, hidden_layers=(-1, 1))


def test_an_interrupted_run_continues_exactly(tiny_backbone, make_rows, tmp_path):
    def run(path, *, kill_at=None):
        source, members, mixture = joint(make_rows)

        def watch(report):
            if report.step == kill_at:
                raise Killed

        arguments = dict(placement=Placement.suffix, mixture=mixture, distillation=distillation())
        train(tiny_backbone, source, members, **arguments, checkpoint=path, save_every=0.0, watch=watch)
        return source

    straight = run(tmp_path / "straight.safetensors")
    with pytest.raises(Killed):
        run(tmp_path / "killed.safetensors", kill_at=5)
    resumed = run(tmp_path / "killed.safetensors")
    for one, other in zip(straight.groups(), resumed.groups(), strict=True):
        assert torch.equal(one.tensor, other.tensor), one.name


def test_distillation_pulls_the_student_towards_its_teacher(tiny_backbone, make_rows):
    rows, teacher = make_rows(6, seed=8), starts(1, seed=21)

    def distance(source):
        prompts = PromptVectors(source.folded()[0][None], Placement.suffix, owner=(0,) * 6)
        student = tiny_backbone.forward(rows, prompts).logits.log_softmax(-1)
        target = tiny_backbone.forward(rows, PromptVectors(teacher, Placement.suffix, owner=(0,) * 6)).logits
        return float((target.softmax(-1) * (target.log_softmax(-1) - student)).sum(-1).mean())

    source = PlainPrompts(starts(1))
    before = distance(source)
    member = Member("a", rows, steps=25, batch=6, seed=0, rates={"prompt": 0.02}, clip=math.inf)
    teaching = Distillation(teacher, Placement.suffix, weights=[20.0], temperature=1.0)
    train(tiny_backbone, source, [member], placement=Placement.suffix, distillation=teaching)
    assert distance(source) < 0.5 * before


def test_the_metaprompt_is_shared_and_factors_are_not(tiny_backbone, make_rows):
    source, members, mixture = joint(make_rows)
    train(tiny_backbone, source, members, placement=Placement.suffix, mixture=mixture)
    assert source.metaprompt.shape[0] == 1
    assert not torch.allclose(source.rows[0], source.rows[1])
    assert [vectors.shape for vectors in source.folded()] == [(P, H)] * 3


def test_the_best_step_on_dev_is_kept(tiny_backbone, make_rows):
    rows, dev = make_rows(4, seed=30), make_rows(4, seed=31)
    member = Member("a", rows, steps=40, batch=4, seed=0, rates={"prompt": 3.0}, dev=dev, clip=math.inf)
    source = PlainPrompts(starts(1))
    result = train(tiny_backbone, source, [member], placement=Placement.suffix, dev_every=1)
    prompts = PromptVectors(source.folded()[0][None], Placement.suffix, owner=(0,) * 4)
    output = tiny_backbone.forward(dev, prompts)
    loss = torch.nn.functional.cross_entropy(output.logits, output.targets)
    assert float(loss) == pytest.approx(result.dev_losses["a"], rel=1e-5)
    assert result.dev_losses["a"] < result.losses["a"] + 10  # finite and recorded


def test_a_diverged_member_leaves_and_the_others_are_untouched(tiny_backbone, make_rows):
    members, start = gang(make_rows), starts(3)
    poisoned = start.clone()
    poisoned[1] = math.nan
    source, clean = PlainPrompts(poisoned), PlainPrompts(start)
    result = train(tiny_backbone, source, members, placement=Placement.suffix)
    train(tiny_backbone, clean, members, placement=Placement.suffix)
    assert result.diverged == ["b"]
    for n in (0, 2):
        torch.testing.assert_close(source.folded()[n], clean.folded()[n], rtol=1e-6, atol=1e-7)


def test_a_member_without_rows_is_refused():
    with pytest.raises(InputError, match="no training examples"):
        Member("a", [], steps=1, batch=1, seed=0, rates={})


@pytest.fixture(scope="module")
def good_start(tiny_backbone, make_rows):
    """A prompt that has learnt the dev rows of the member that will be harmed."""
    source = PlainPrompts(starts(1))
    learning = Member("learning", contrary(make_rows), steps=40, batch=3, seed=1, rates={"prompt": 0.05})
    train(tiny_backbone, source, [learning], placement=Placement.suffix, dev_every=40)
    return torch.stack([source.folded()[0], starts(2)[1]])


def contrary(make_rows):
    """Rows of which nobody can learn anything of ``make_rows(3, seed=1)``."""
    return [replace(row, answer=(7,) * len(row.answer)) for row in make_rows(3, seed=1)]


def judged(make_rows, **more):
    """A member whose examples contradict its dev rows, and one that learns."""
    rows, dev = make_rows(3, seed=1), make_rows(4, seed=2)
    return [
        Member(
            "harmed", rows, steps=12, batch=3, seed=1, rates={"prompt": 0.05}, dev=contrary(make_rows), warmup=0, **more
        ),
        Member("learning", dev, steps=12, batch=4, seed=2, rates={"prompt": 0.05}, dev=dev, **more),
    ]


def test_a_start_that_training_only_worsens_is_kept(tiny_backbone, make_rows, good_start):
    source = PlainPrompts(good_start)
    result = train(tiny_backbone, source, judged(make_rows), placement=Placement.suffix, dev_every=3)
    harmed, learning = source.folded()
    assert torch.equal(harmed, good_start[0])
    assert not torch.allclose(learning, good_start[1], atol=1e-2)
    assert result.steps == {"harmed": 12, "learning": 12}


def test_without_looks_in_between_the_last_step_is_kept(tiny_backbone, make_rows, good_start):
    source = PlainPrompts(good_start)
    train(tiny_backbone, source, judged(make_rows), placement=Placement.suffix, dev_every=12)
    assert not torch.allclose(source.folded()[0], good_start[0], atol=0.05)


def test_a_member_out_of_patience_leaves_and_changes_nothing_for_the_others(tiny_backbone, make_rows, good_start):
    impatient, patient = PlainPrompts(good_start), PlainPrompts(good_start)
    arguments = dict(placement=Placement.suffix, dev_every=3)
    steps = []
    result = train(
        tiny_backbone, impatient, judged(make_rows, patience=2), **arguments, watch=lambda report: steps.append(report)
    )
    train(tiny_backbone, patient, judged(make_rows), **arguments)
    assert result.steps == {"harmed": 6, "learning": 12}
    assert [sorted(report.losses) for report in steps[5:7]] == [["harmed", "learning"], ["learning"]]
    torch.testing.assert_close(impatient.folded(), patient.folded(), rtol=1e-6, atol=1e-7)


def test_a_run_ends_with_its_last_member(tiny_backbone, make_rows, good_start):
    [harmed, _] = judged(make_rows, patience=1)
    steps = []
    train(
        tiny_backbone, PlainPrompts(good_start[:1]), [harmed], placement=Placement.suffix, dev_every=2,
        watch=lambda report: steps.append(report.step),
    )  # fmt: skip
    assert steps == [1, 2]
