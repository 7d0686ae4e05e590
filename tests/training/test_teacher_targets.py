from dataclasses import replace

import pytest
import torch

from clinprompt.backbones.protocol import Placement, PromptVectors
from clinprompt.maths.distillation import logit_divergence, soften
from clinprompt.maths.mixture import mixing_probabilities
from clinprompt.prompts.plain import PlainPrompts
from clinprompt.training.gang import Member, Mixture
from clinprompt.training.loop import train
from clinprompt.training.objectives import Distillation
from clinprompt.training.teacher_targets import TeacherTargets
from clinprompt.training.truncation import measure_truncation

H, V = 32, 263
T = 1.5


class Killed(Exception):
    pass


def vectors(length, seed):
    return torch.randn(length, H, generator=torch.Generator().manual_seed(seed)) * 0.2


@pytest.fixture
def members(make_rows):
    return [
        Member(name, make_rows(size, seed=i), steps=6, batch=3, seed=i, rates={"prompt": 0.05})
        for i, (name, size) in enumerate([("a", 7), ("b", 2), ("c", 9)])
    ]


@pytest.fixture
def distillation():
    return Distillation([vectors(3, 1), vectors(5, 2), vectors(4, 3)], Placement.both, [0.5, 1.0, 2.0], T, (-1, 1))


@pytest.fixture
def runs(monkeypatch):
    """The rows that a teacher was run over, call by call, after the one row that tells how large targets are."""
    seen, run = [], TeacherTargets._run

    def watched(self, wanted):
        seen.append(list(wanted))
        return run(self, wanted)

    monkeypatch.setattr(TeacherTargets, "_run", watched)
    return seen


def starts():
    return PlainPrompts([vectors(4, 10 + n) for n in range(3)])


def trained(backbone, members, distillation, **options):
    source = starts()
    train(backbone, source, members, placement=Placement.suffix, distillation=distillation, **options)
    return torch.stack(source.folded())


def alone(backbone, row, teacher):
    with torch.no_grad():
        return backbone.forward([row], PromptVectors(teacher[None], Placement.both), hidden_layers=(-1, 1))


@pytest.mark.parametrize("tokens", [60, 10_000])
@pytest.mark.parametrize("budget", [0, 40_000, 2**30])
def test_targets_are_what_each_rows_own_teacher_says_of_it_alone(tiny_backbone, members, distillation, tokens, budget):
    given = replace(distillation, top_k=9, budget=budget)
    targets = TeacherTargets(tiny_backbone, members, given, tokens_per_forward=tokens)
    for step, chunk in enumerate([[(0, 1), (2, 0), (1, 1), (0, 1)], [(2, 8), (0, 1)]]):
        chunk = [(n, members[n].rows[i]) for n, i in chunk]
        found = targets.of(chunk, step=step)
        at = 0
        for n, row in chunk:
            output, part = alone(tiny_backbone, row, distillation.teachers[n]), slice(at, at + len(row.answer))
            expected = soften(output.logits, temperature=T, top_k=9)
            assert torch.equal(found.softened.tokens[part].long(), expected.tokens)
            torch.testing.assert_close(found.softened.kept[part], expected.kept, rtol=1e-5, atol=1e-6)
            torch.testing.assert_close(found.softened.tail[part], expected.tail, rtol=1e-5, atol=1e-6)
            torch.testing.assert_close(found.hidden[part], output.hidden, rtol=1e-5, atol=1e-6)
            at += len(row.answer)
        assert at == len(found.hidden)


def test_training_is_the_same_whether_targets_are_kept_or_not(tiny_backbone, members, distillation, runs):
    never = trained(tiny_backbone, members, replace(distillation, budget=0))
    uncached = sum(map(len, runs))
    runs.clear()
    for top_k in (None, V, V + 5):
        kept = trained(tiny_backbone, members, replace(distillation, top_k=top_k))
        torch.testing.assert_close(kept, never, rtol=1e-5, atol=1e-6)
    some = trained(tiny_backbone, members, replace(distillation, budget=50_000), tokens_per_forward=80)
    torch.testing.assert_close(some, never, rtol=1e-5, atol=1e-6)
    assert uncached > 2 * 18  # each row in each of its epochs, or the comparison would say nothing
    cut = trained(tiny_backbone, members, replace(distillation, top_k=1))
    assert not torch.allclose(cut, never, rtol=1e-3)


def test_with_room_for_all_no_row_is_run_a_second_time(tiny_backbone, members, distillation, runs):
    trained(tiny_backbone, members, distillation, tokens_per_forward=100)
    rows = [taught for call in runs[1:] for taught in call]  # the first call measures the size of one row
    assert len(rows) == len(set(rows)) == 7 + 2 + 9
    assert len(runs[1:]) < len(rows)
    for call in runs[1:]:
        assert len(call) == 1 or sum(row.length + len(distillation.teachers[n]) for n, row in call) <= 100


def test_a_step_runs_no_row_twice_even_when_nothing_can_be_kept(tiny_backbone, make_rows, runs):
    twins = make_rows(2, seed=5)
    members = [Member(name, twins, steps=3, batch=2, seed=0, rates={"prompt": 0.01}) for name in "ab"]
    shared = Distillation([vectors(3, 1)] * 2, Placement.suffix, [1.0, 0.5], budget=0)
    source = PlainPrompts([vectors(4, 1), vectors(4, 2)])
    train(
        tiny_backbone,
        source,
        members,
        placement=Placement.suffix,
        distillation=shared,
        tokens_per_forward=len(twins[0].cue) + len(twins[0].answer) + 4,  # each row in a chunk of its own
    )
    assert [len(call) for call in runs[1:]] == [1, 1] * 3


def test_members_without_a_teacher_cost_nothing(tiny_backbone, members, distillation, runs):
    trained(tiny_backbone, members, replace(distillation, weights=[0.0, 1.0, 0.0]))
    assert {teacher for call in runs for teacher, _ in call} == {1}
    runs.clear()
    nobody = trained(tiny_backbone, members, replace(distillation, weights=[0.0] * 3))
    assert not runs
    torch.testing.assert_close(nobody, trained(tiny_backbone, members, None))


@pytest.mark.parametrize("budget", [0, 3_000, 12_000, 2**30])
def test_no_more_bytes_are_kept_than_the_budget_allows(tiny_backbone, members, distillation, budget):
    given = replace(distillation, top_k=4, budget=budget)
    targets = TeacherTargets(tiny_backbone, members, given, tokens_per_forward=80)
    for step in range(2):
        for n, member in enumerate(members):
            for row in member.rows:
                targets.of([(n, row)], step=step)
    size = sum(part.nbytes for kept in targets.kept.values() for part in (*kept.softened.parts(), kept.hidden))
    assert size <= budget
    rows = len(targets.kept)
    assert {0: rows == 0, 3_000: rows < 18, 12_000: 0 < rows < 18, 2**30: rows == 18}[budget]


@pytest.mark.parametrize("budget", [30_000, 2**30])
def test_an_interrupted_run_goes_on_to_the_last_bit(tiny_backbone, members, distillation, tmp_path, budget):
    mixture = Mixture(mixing_probabilities([7, 2, 9], mixing="uniform"), batch=4, seed=5)
    given = replace(distillation, top_k=6, budget=budget)

    def run(path, kill_at=None):
        def watch(report):
            if report.step == kill_at:
                raise Killed

        options = dict(mixture=mixture, checkpoint=path, save_every=0.0, watch=watch, tokens_per_forward=90)
        return trained(tiny_backbone, members, given, **options)

    straight = run(tmp_path / "straight.safetensors")
    with pytest.raises(Killed):
        run(tmp_path / "killed.safetensors", kill_at=4)
    assert torch.equal(run(tmp_path / "killed.safetensors"), straight)


def test_what_truncation_loses_is_measured(tiny_backbone, members, distillation):
    source, given = starts(), replace(distillation, top_k=20, weights=[1.0, 0.0, 1.0])
    found = measure_truncation(tiny_backbone, source, members, given, placement=Placement.suffix, rows_each=50)
    tails, wholes, losts = [], [], []
    for n in (0, 2):
        for row in members[n].rows:
            teacher = alone(tiny_backbone, row, given.teachers[n]).logits
            prompt = PromptVectors(source.folded()[n][None], Placement.suffix)
            student = tiny_backbone.forward([row], prompt).logits
            p, q = ((logits / T).softmax(-1) for logits in (teacher, student))
            kept = p.topk(20, dim=-1).indices
            tails.append(1 - p.gather(-1, kept).sum(-1))
            wholes.append(T * T * (p * (p.log() - q.log())).sum(-1))
            cut = logit_divergence(student, soften(teacher, temperature=T, top_k=20), temperature=T)
            losts.append(wholes[-1] - cut)
    tail, whole, lost = (torch.cat(values) for values in (tails, wholes, losts))
    assert found.tokens == len(tail)
    assert found.tail_mass == pytest.approx(float(tail.mean()), rel=1e-4)
    assert found.largest_tail_mass == pytest.approx(float(tail.max()), rel=1e-4)
    assert found.divergence == pytest.approx(float(whole.mean()), rel=1e-4)
    assert found.divergence_lost == pytest.approx(float(lost.mean()), rel=1e-3) and found.divergence_lost > 0
    for nothing in (replace(given, top_k=None), replace(given, top_k=V), replace(given, weights=[0.0] * 3)):
        assert measure_truncation(tiny_backbone, source, members, nothing, placement=Placement.suffix) is None
