"""A run that grew has the cells that were there, trained once; they are what training all of them anew would give."""

from __future__ import annotations

import math
import shutil

import pytest
import torch

from clinprompt.stages import adapt_prompts, adapt_weights, taken_cells
from clinprompt.stages.adapt import adapt
from clinprompt.stages.adapted import open_prompt, read_adapted
from clinprompt.stages.configs import AdaptSettings, PrepareSettings, PromptSettings
from clinprompt.stages.earlier import TAKEN
from clinprompt.stages.methods import Budget, FineTuning, Lora, PromptTuning, Routing
from clinprompt.stages.prepare import prepare
from tests.zygote import zygote

HERE = "tests.stages.test_taken_cells"
SHORT = Budget(steps=3, batch=2, rates=(0.05, 0.1), keep="best", dev_every=1, dev_limit=2, patience=2)
METHODS = {
    "prompt-tuning": PromptTuning(budget=SHORT),
    "every layer": PromptTuning(budget=SHORT, layers="every"),
    "folds": PromptTuning(budget=SHORT.model_copy(update={"folds": 2})),
    "routing": Routing(experts=2, rank=2, budget=SHORT),
    "lora": Lora(rank=2, budget=SHORT),
    "fine-tuning": FineTuning(budget=SHORT),
}


@pytest.fixture(scope="module")
def targets(tmp_path_factory):
    runs, limits = tmp_path_factory.mktemp("data"), {"train": 5, "dev": 2, "test": 2}
    names = ("lab-flag", "substance-use-site-b", "drug-route")
    return tuple(prepare(PrepareSettings(task=name, limits=limits), runs=runs).path for name in names)


@pytest.fixture
def trained(monkeypatch):
    """The names of the members that are trained, in the order of the calls."""
    names: list[str] = []
    for module in (adapt_prompts, adapt_weights):

        def watched(backbone, source, members, *, _train=module.train, **options):
            names.extend(member.name for member in members)
            return _train(backbone, source, members, **options)

        monkeypatch.setattr(module, "train", watched)
    return names


def small(settings, targets, method, **fields):
    given = {"shots": (2,), "prompt": PromptSettings(length=3)}
    return AdaptSettings(backbone=settings, targets=targets, method=method, **given | fields)


def cell_of(member):
    """The cell that a member of a gang trains with one rate, or on a fold."""
    return member.partition("@")[0].partition("#")[0]


def files(run, cell):
    folder = run.outputs / cell.key
    return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("name", METHODS)
def test_more_targets_shots_and_draws_train_only_those(name, settings, opened, targets, trained, tmp_path):
    method = METHODS[name]
    first = adapt(small(settings, targets[:2], method), runs=tmp_path, opened=opened)
    del trained[:]
    grown = small(settings, targets, method, shots=(0, 2, 3), draws=2)
    run = adapt(grown, runs=tmp_path, opened=opened)
    before = {cell.key: cell for cell in read_adapted(first.outputs)}
    cells = {cell.key: cell for cell in read_adapted(run.outputs)}
    assert len(before) == 2 and len(cells) == 3 * (1 + 2 + 2) and next(iter(cells)) == "lab-flag/k0-d0"
    assert run.summary()["taken"] == {first.id: 2}
    for key, cell in before.items():
        assert cells[key] == cell and files(run, cell) == files(first, cell)
    assert {key for key in cells if "k0" not in key} - set(before) == {cell_of(member) for member in trained}

    alone = adapt(grown, runs=tmp_path, opened=opened, force=True)
    assert alone.summary()["taken"] == {} and not (alone.path / TAKEN).exists()
    for cell in read_adapted(alone.outputs):
        assert (cell.rate, cell.train_examples) == (cells[cell.key].rate, cells[cell.key].train_examples)
        losses = [[one.loss or 0.0, one.dev_loss or 0.0] for one in (cell, cells[cell.key])]
        assert losses[0] == pytest.approx(losses[1], rel=1e-9) and (cell.loss is None) == ("/k0-" in cell.key)


def test_a_taken_prompt_is_a_whole_prompt_and_outlives_the_run_it_is_from(settings, opened, targets, trained, tmp_path):
    method = METHODS["prompt-tuning"]
    first = adapt(small(settings, targets[:1], method), runs=tmp_path, opened=opened)
    [cell] = read_adapted(first.outputs)
    vectors = open_prompt(first.outputs / cell.file, opened).vectors
    run = adapt(small(settings, targets[:2], method), runs=tmp_path, opened=opened)
    shutil.rmtree(first.path)
    prompt = open_prompt(run.outputs / cell.file, opened)
    assert torch.equal(prompt.vectors, vectors) and prompt.card.lineage.run == first.id
    del trained[:]
    again = adapt(small(settings, targets[:1], method), runs=tmp_path, opened=opened)
    assert not trained and again.summary()["taken"] == {run.id: 1}  # fewer targets: nothing is trained at all


@pytest.mark.parametrize("change", ["seed", "budget", "length", "data"])
def test_other_settings_or_examples_are_trained(change, settings, opened, targets, trained, tmp_path):
    def asked(**fields):
        return small(settings, targets[:1], METHODS["prompt-tuning"], **fields)

    adapt(asked(), runs=tmp_path, opened=opened)
    limits = {"train": 4, "dev": 2, "test": 2}
    other = prepare(PrepareSettings(task="lab-flag", limits=limits), runs=tmp_path).path
    changed = {
        "seed": {"seed": 2},
        "budget": {"method": PromptTuning(budget=SHORT.model_copy(update={"steps": 2}))},
        "length": {"prompt": PromptSettings(length=4)},
        "data": {"targets": (other,)},
    }[change]
    run = adapt(asked(shots=(2, 3)).model_copy(update=changed), runs=tmp_path, opened=opened)
    assert run.summary()["taken"] == {} and len([name for name in trained if "k2" in name]) == 2 * len(SHORT.rates)


def test_a_failed_cell_is_tried_again(settings, opened, targets, trained, tmp_path, monkeypatch):
    plain = adapt_prompts.train

    def diverging(backbone, source, members, **options):
        result = plain(backbone, source, members, **options)
        lost = [member.name for member in members if member.name.startswith("lab-flag")]
        result.dev_losses |= dict.fromkeys(lost, math.nan)
        result.diverged = [*result.diverged, *lost]
        return result

    method = METHODS["prompt-tuning"]
    with monkeypatch.context() as patch:
        patch.setattr(adapt_prompts, "train", diverging)
        first = adapt(small(settings, targets[:2], method), runs=tmp_path, opened=opened)
    assert first.summary()["lost"] == 1
    run = adapt(small(settings, targets, method), runs=tmp_path, opened=opened)
    assert run.summary()["lost"] == 0 and run.summary()["taken"] == {first.id: 1}


def test_what_is_taken_stays_when_the_run_is_resumed(settings, opened, targets, trained, tmp_path, monkeypatch):
    method = METHODS["lora"]
    first = adapt(small(settings, targets[:1], method), runs=tmp_path, opened=opened)
    grown = small(settings, targets[:2], method)
    with monkeypatch.context() as patch:
        patch.setattr(adapt_weights, "train", lambda *_, **__: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            adapt(grown, runs=tmp_path, opened=opened)
    shutil.rmtree(first.path)
    del trained[:]
    run = adapt(grown, runs=tmp_path, opened=opened)
    assert run.summary()["taken"] == {first.id: 1} and all(name.startswith("substance") for name in trained)
    assert all((run.outputs / cell.file).exists() for cell in read_adapted(run.outputs))


def test_a_run_that_had_begun_to_train_all_goes_on_with_all(settings, opened, targets, trained, tmp_path, monkeypatch):
    method = METHODS["lora"]
    with monkeypatch.context() as patch:  # as a version that knew of no other runs
        patch.setattr(taken_cells, "earlier_runs", lambda *_, **__: ())
        adapt(small(settings, targets[:1], method), runs=tmp_path, opened=opened)
        grown = small(settings, targets[1::-1], method)  # the new target first
        started = adapt_weights.train

        def once(*given, **options):
            if len(trained) > 2:
                raise KeyboardInterrupt
            return started(*given, **options)

        patch.setattr(adapt_weights, "train", once)
        with pytest.raises(KeyboardInterrupt):
            adapt(grown, runs=tmp_path, opened=opened)
    for file in tmp_path.rglob(TAKEN):
        file.unlink()
    assert list((tmp_path / "adapt").rglob("checkpoints"))
    assert adapt(grown, runs=tmp_path, opened=opened).summary()["taken"] == {}


def test_damaged_runs_beside_it_do_not_matter(settings, opened, targets, tmp_path):
    method = METHODS["prompt-tuning"]
    first = adapt(small(settings, targets[:1], method), runs=tmp_path, opened=opened)
    for name, file in (("empty", ""), ("broken", "{")):
        shutil.copytree(first.path, first.path.with_name(name))
        (first.path.with_name(name) / "inputs.json").write_text(file)
    for name, content in (("odd", '{"cells": [{"colour": 1}]}'), ("headless", "[]")):
        shutil.copytree(first.path, first.path.with_name(name))
        (first.path.with_name(name) / "outputs" / "cells.json").write_text(content)
    shutil.copytree(first.path, first.path.with_name("torn"))
    shutil.rmtree(first.path.with_name("torn") / "outputs" / "lab-flag")
    (first.path / "config.yaml").write_text("seed: [")
    with_torn = adapt(small(settings, targets[:2], method), runs=tmp_path, opened=opened)
    assert with_torn.summary()["taken"] == {}
    assert not list(with_torn.outputs.rglob(".*"))


def side_by_side(path: str, targets: list[str], runs: str) -> None:
    """One of two processes: a run, then one of more targets; says what it has taken."""
    from pathlib import Path

    from clinprompt.stages.configs import BackboneSettings

    settings = BackboneSettings(path=path)
    for wanted in (targets[:1], targets):
        found = adapt(small(settings, tuple(map(Path, wanted)), METHODS["prompt-tuning"]), runs=Path(runs))
        print(sum(found.summary()["taken"].values()), end=" ")


def test_several_processes_take_the_same(settings, targets, tmp_path):
    given = {"path": settings.path, "targets": [str(path) for path in targets[:2]], "runs": str(tmp_path / "runs")}
    workers = zygote().world(tmp_path / "said", f"{HERE}:side_by_side", size=2, **given)
    assert [zygote().wait(worker) for worker in workers] == [0, 0], workers[0].said
    assert [worker.said for worker in workers] == ["0 1 ", "0 1 "]
