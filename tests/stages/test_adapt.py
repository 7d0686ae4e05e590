"""A cell that no learning rate can train is a gap of its own, not the end of its gang."""

from __future__ import annotations

import math

import pytest
import torch

from clinprompt.backbones.protocol import Placement, PromptVectors, Row
from clinprompt.errors import InputError
from clinprompt.stages import adapt_prompts, adapt_weights
from clinprompt.stages.adapt import adapt
from clinprompt.stages.adapted import open_prompt, read_adapted
from clinprompt.stages.configs import (
    AdaptSettings,
    BackboneSettings,
    EvaluateSettings,
    PrepareSettings,
    PromptSettings,
)
from clinprompt.stages.evaluate import evaluate
from clinprompt.stages.export_prompts import ExportSettings, export_prompts
from clinprompt.stages.methods import Budget, InContext, Instruction, Lora, PromptTuning, Routing
from clinprompt.stages.opened import open_backbone
from clinprompt.stages.prepare import prepare
from clinprompt.stages.scores import read_scores
from tests.made_backbones import tiny_folder

SHORT = Budget(steps=1, batch=2, rates=(0.1,), dev_limit=2)


@pytest.fixture(scope="module")
def opened(tmp_path_factory):
    return open_backbone(BackboneSettings(path=str(tiny_folder(tmp_path_factory.mktemp("backbone"), context=4096))))


@pytest.fixture(scope="module")
def targets(tmp_path_factory):
    runs = tmp_path_factory.mktemp("data")
    limits = {"train": 4, "dev": 2, "test": 2}
    names = ("lab-flag", "substance-use-site-b")
    return tuple(prepare(PrepareSettings(task=name, limits=limits), runs=runs).path for name in names)


def diverging(train, *names):
    """Training after which members of these cells count as diverged."""

    def run(backbone, source, members, **options):
        result = train(backbone, source, members, **options)
        lost = [member.name for member in members if member.name.startswith(names)]
        result.dev_losses |= dict.fromkeys(lost, math.nan)
        result.diverged = [*result.diverged, *lost]
        return result

    return run


@pytest.mark.parametrize(
    ("module", "method"), [(adapt_prompts, PromptTuning(budget=SHORT)), (adapt_weights, Lora(rank=1, budget=SHORT))]
)
def test_one_lost_cell_leaves_the_others(module, method, opened, targets, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "train", diverging(module.train, "lab-flag"))
    settings = AdaptSettings(targets=targets, method=method, shots=(2,))
    run = adapt(settings, runs=tmp_path, opened=opened)
    lost, kept = read_adapted(run.outputs)
    assert (lost.task, kept.task) == ("lab-flag", "substance-use-site-b")
    assert "every learning rate" in lost.failed and "0.1" in lost.failed and not lost.file
    assert not kept.failed and (run.outputs / kept.file).exists()
    assert run.summary()["lost"] == 1
    scoring = EvaluateSettings(adapted=run.path, targets=targets, limit=1, answer_tokens=2, resamples=100)
    assert [cell["task"] for cell in read_scores(evaluate(scoring, runs=tmp_path, opened=opened).path)] == [kept.task]


def test_when_every_cell_is_lost_it_is_an_error(opened, targets, tmp_path, monkeypatch):
    monkeypatch.setattr(adapt_prompts, "train", diverging(adapt_prompts.train, "lab-flag", "substance-use-site-b"))
    settings = AdaptSettings(targets=targets, method=PromptTuning(budget=SHORT), shots=(2,))
    with pytest.raises(InputError, match="diverged with every learning rate"):
        adapt(settings, runs=tmp_path, opened=opened)


@pytest.mark.parametrize(
    ("method", "counted"),
    [
        (Instruction(), set()),
        (InContext(), set()),
        (Lora(), set()),
        (Lora(rank="matched", targets="v_proj"), {"length"}),
        (PromptTuning(length=3, placement="prefix"), set()),
        (PromptTuning(length=3), {"placement"}),
        (PromptTuning(placement="prefix"), {"length"}),
        (PromptTuning(), {"length", "placement"}),
        (Routing(experts=2, rank=2), {"length", "placement"}),
    ],
)
def test_what_has_no_effect_on_a_run_is_not_in_its_name(method, counted, opened, targets, tmp_path):
    def named(**prompt):
        settings = AdaptSettings(targets=targets[:1], method=method, shots=(0,), prompt=PromptSettings(**prompt))
        return adapt(settings, runs=tmp_path, opened=opened).id

    usual = named()
    assert {name for name, value in {"length": 5, "placement": "both"}.items() if named(**{name: value}) != usual} == (
        counted
    )


def test_a_matched_lora_has_no_more_numbers_than_the_prompt(opened, targets, tmp_path):
    def trainable(method, length, layers="input"):
        shape = PromptSettings(length=length, layers=layers)
        settings = AdaptSettings(targets=targets[:1], method=method, shots=(2,), prompt=shape)
        [cell] = read_adapted(adapt(settings, runs=tmp_path, opened=opened).outputs)
        return cell.trainable

    for shape in ((4,), (40,), (8, "every")):
        matched = trainable(Lora(rank="matched", targets="q_proj,v_proj", budget=SHORT), *shape)
        assert 0.5 < matched / trainable(PromptTuning(budget=SHORT), *shape) <= 1
    with pytest.raises(InputError, match="more than the prompt's 32"):
        trainable(Lora(rank="matched", budget=SHORT), 1)


def test_a_prompt_that_one_goes_on_from_has_its_own_shape(opened, targets, tmp_path):
    def made(**fields):
        return adapt(
            AdaptSettings(targets=targets[:1], method=PromptTuning(), shots=(0,), **fields),
            runs=tmp_path,
            opened=opened,
        )

    first = made(prompt=PromptSettings(length=3))
    begun = first.outputs / read_adapted(first.outputs)[0].file
    assert len({made(start_from=begun, prompt=PromptSettings(length=length)).id for length in (4, 5)}) == 1


def test_a_decoders_prompt_may_have_vectors_in_every_layer(opened, targets, tmp_path):
    settings = AdaptSettings(targets=targets, method=PromptTuning(budget=SHORT, layers="every"), shots=(2,))
    run = adapt(settings, runs=tmp_path, opened=opened)
    L, P, H = opened.backbone.n_layers, settings.prompt.length, opened.backbone.hidden_size
    assert run.summary()["trainable"] == L * P * H
    cells = read_adapted(run.outputs)
    for cell in cells:
        prompt = open_prompt(run.outputs / cell.file, opened)  # says whether it still acts as when it was made
        assert prompt.vectors.shape == (L, P, H) and prompt.card.length == P
        for own in prompt.vectors[1:]:
            assert not torch.allclose(own, prompt.vectors[0], atol=1e-3)
    scoring = EvaluateSettings(adapted=run.path, targets=targets, limit=1, answer_tokens=2, resamples=100)
    found = [cell["task"] for cell in read_scores(evaluate(scoring, runs=tmp_path, opened=opened).path)]
    assert found == [cell.task for cell in cells]
    with pytest.raises(InputError, match="other engines take in only those of the input"):
        path = run.outputs / cells[0].file
        export_prompts(ExportSettings(to="peft", prompts=(path,), out=tmp_path / "out"), opened=opened)
    assert not (tmp_path / "out").exists()


def test_a_start_in_every_layer_is_what_the_layers_would_take_in(opened):
    backbone, P = opened.backbone, 3
    start = torch.randn(2, P, backbone.hidden_size, generator=torch.Generator().manual_seed(0))
    found = opened.layer_starts(start)
    assert found.shape == (2, backbone.n_layers, P, backbone.hidden_size)
    torch.testing.assert_close(found[:, 0], start.float())
    row = Row("a", (), (9,), (2,))
    inside = [PromptVectors(vectors, Placement.suffix) for vectors in (start, found)]  # behind BOS, as there
    lowest, every = (backbone.forward([row, row], one).logits for one in inside)
    torch.testing.assert_close(lowest, every)
