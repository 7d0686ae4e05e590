"""Cross-validation in the adapt stage: the choice is that of a naive loop, for prompts and weights, and it resumes."""

from __future__ import annotations

import json
import math
from collections import Counter
from contextlib import contextmanager
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clinprompt.backbones.protocol import Placement
from clinprompt.backbones.tiny_encoders import write_tiny_encoder
from clinprompt.data.fewshot import draw
from clinprompt.errors import InputError
from clinprompt.prompts.headed import Headed, head_rates, headed
from clinprompt.prompts.plain import PlainPrompts
from clinprompt.schema.example import Answer, Example, Split
from clinprompt.stages.adapt import adapt
from clinprompt.stages.adapted import read_adapted
from clinprompt.stages.cells import Cell, rms, starts
from clinprompt.stages.configs import AdaptSettings, BackboneSettings, PromptSettings, TeachSettings
from clinprompt.stages.folds import fold_cells, folds, judged, lowest, recorded
from clinprompt.stages.importing import import_data
from clinprompt.stages.methods import Budget, FineTuning, PromptTuning
from clinprompt.stages.opened import open_backbone
from clinprompt.stages.prepared import open_prepared
from clinprompt.stages.teach import teach
from clinprompt.training.gang import Member
from clinprompt.training.loop import train
from clinprompt.training.outcome import TrainingResult
from clinprompt.training.seeds import derive
from clinprompt.training.weights import all_weights
from tests.made_backbones import tiny_folder
from tests.made_notes import write_notes


def of_group(number, group):
    return Example(id=f"e{number}", inputs={"note": "x"}, answer=Answer(), group=group)


@given(
    groups=st.lists(st.sampled_from("abcdefg"), min_size=1, max_size=30), n=st.integers(2, 5), seed=st.integers(0, 3)
)
def test_folds_divide_no_group_lose_nothing_and_are_even(groups, n, seed):
    examples = [of_group(number, group) for number, group in enumerate(groups)]
    sizes = Counter(groups)
    if len(sizes) < n:
        with pytest.raises(InputError, match=f"at least {n} patients or documents, and there are {len(sizes)}"):
            folds(examples, n=n, seed=seed, where="cell")
        return
    parts = folds(examples, n=n, seed=seed, where="cell")
    assert parts == folds(examples[:], n=n, seed=seed, where="cell")
    assert sorted(one.id for part in parts for one in part) == sorted(one.id for one in examples)
    assert all(parts) and sum(len({one.group for one in part}) for part in parts) == len(sizes)
    # By the greedy rule no fold is ahead of another by more than one group.
    assert max(map(len, parts)) - min(map(len, parts)) <= max(sizes.values())


def test_another_seed_gives_other_folds():
    examples = [of_group(number, f"g{number}") for number in range(12)]
    found = {tuple(one.id for one in folds(examples, n=3, seed=seed, where="cell")[0]) for seed in range(4)}
    assert len(found) > 1


def test_a_rate_that_diverged_in_one_fold_is_never_chosen():
    result = TrainingResult(dev_losses={"a": 0.5, "b": math.nan, "c": 1.0}, diverged=["a"])
    assert judged(result) == {"a": math.inf, "b": math.inf, "c": 1.0}
    assert lowest({0.1: math.inf, 0.3: 2.0}) == 0.3
    assert recorded({0.1: math.inf, 0.3: 2.0}) == {"0.1": None, "0.3": 2.0}
    assert lowest({0.1: math.inf}) is None


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    place = tmp_path_factory.mktemp("folds")
    import_data(write_notes(place / "notes", 10), place / "data", name="drugs", reader="brat", dev=0.1)
    return place / "data"


@pytest.fixture(scope="module", params=["decoder", "encoder"])
def opened(request, tmp_path_factory):
    place = tmp_path_factory.mktemp(request.param) / "tiny"
    path = tiny_folder(place) if request.param == "decoder" else write_tiny_encoder(place, family="bert")
    return BackboneSettings(path=str(path)), open_backbone(BackboneSettings(path=str(path)))


PROMPTS = PromptTuning(
    budget=Budget(steps=3, batch=2, rates=(0.1, 3.0), dev_limit=3, warmup=1, folds=2, head_rate=0.01)
)
WEIGHTS = FineTuning(
    budget=Budget(steps=2, batch=2, rates=(1e-3, 1e-2), dev_limit=2, warmup=1, folds=2, head_rate=0.01)
)


def settings(backbone, data, method, shots=(0, 4, "full")):
    return AdaptSettings(backbone=backbone, targets=(data,), method=method, shots=shots,
                         prompt=PromptSettings(length=4))  # fmt: skip


def alone(opened, task, examples, held, name, budget, rate, *, prompt):
    """The dev loss of one rate on one fold, trained by itself."""
    heads = opened.heads([derive(1, "heads", name)])
    rates = head_rates(heads, budget.head_rate)
    rows = opened.rows(examples, task, reserve=4 if prompt else 0)
    dev = opened.rows(held[: budget.dev_limit], task, reserve=4 if prompt else 0)
    seed = derive(1, "rows", name)

    def trained(source, rates):
        member = Member(
            "m", rows, budget.steps, budget.batch, seed, rates, dev, warmup=min(budget.warmup, budget.steps)
        )
        result = train(opened.backbone, source, [member], placement=Placement.suffix, dev_every=budget.steps)
        return result.dev_losses["m"]

    if prompt:
        start = starts(opened, [cell_of(task, examples, held, name)], start="text", length=4)
        return trained(headed(PlainPrompts(start), heads), {"prompt": rate * rms(start[0]), **rates})
    with all_weights(opened.backbone) as weights:
        source = Headed(None, heads, weights=weights.groups()) if heads else weights
        return trained(source, dict.fromkeys([group.name for group in weights.groups()], rate) | rates)


def cell_of(task, train, dev, name):
    return Cell(name, task, train, dev, 1)


@pytest.mark.parametrize("method", [PROMPTS, WEIGHTS], ids=["prompts", "weights"])
def test_the_choice_is_that_of_a_loop_over_rates_and_folds(opened, data, method, tmp_path):
    backbone, opened = opened
    opened = opened.suited(method.kind, [])
    given = settings(backbone, data, method, shots=(0, 4, "full") if method is PROMPTS else (0, 4))
    run = adapt(given, runs=tmp_path, opened=opened)
    item, budget = open_prepared(data), method.budget
    cells = {cell.shots: cell for cell in read_adapted(run.outputs)}
    assert cells["0"].fold_losses == {} and cells["0"].rate is None
    train_part = item.part(Split.train)
    drawn = draw(train_part, k=4, seed=item.draw_seed, draw=0)
    for shots, examples in (("4", drawn), ("full", train_part))[: 2 if method is PROMPTS else 1]:
        cell, means = cells[shots], {}
        for rate in budget.rates:
            losses = []
            for k, held in enumerate(folds(examples, n=2, seed=1, where="")):
                rest = [one for one in examples if one not in held]
                name = f"{cell.key}#{k + 1}"
                prompt = method is PROMPTS
                losses.append(alone(opened, item.task, rest, held, name, budget, rate, prompt=prompt))
            means[f"{rate:g}"] = sum(losses) / len(losses)
        assert dict(cell.fold_losses) == pytest.approx(means, rel=5e-5)
        assert means[f"{budget.rates[0]:g}"] != pytest.approx(means[f"{budget.rates[1]:g}"], rel=5e-4)
        assert f"{cell.rate:g}" == min(means, key=means.__getitem__)
        assert cell.train_examples == len(examples) and cell.dev_loss is None


def test_what_is_kept_is_trained_on_all_examples_with_the_chosen_rate(opened, data, tmp_path):
    backbone, opened = opened
    given = settings(backbone, data, PROMPTS)
    [chosen] = [cell for cell in read_adapted(adapt(given, runs=tmp_path, opened=opened).outputs) if cell.shots == "4"]
    plain = PROMPTS.model_copy(update={"budget": replaced(PROMPTS.budget, rates=(chosen.rate,), folds=None)})
    run = adapt(given.model_copy(update={"method": plain}), runs=tmp_path, opened=opened)
    [same] = [cell for cell in read_adapted(run.outputs) if cell.shots == "4"]
    assert same.loss == pytest.approx(chosen.loss, rel=1e-4)
    assert same.fold_losses == {} and chosen.fold_losses


def replaced(budget, **changes):
    return budget.model_copy(update=changes)


class Killed(Exception):
    pass


@pytest.mark.parametrize("method", [PROMPTS, WEIGHTS], ids=["prompts", "weights"])
def test_an_interrupted_run_ends_as_a_straight_one(opened, data, method, tmp_path, monkeypatch):
    backbone, opened = opened
    given = settings(backbone, data, method).model_copy(update={"shots": (4,)})
    straight = read_adapted(adapt(given, runs=tmp_path / "straight", opened=opened).outputs)
    for stage in ("adapt_prompts", "adapt_weights"):  # the latter says itself how often
        often = lambda *given, **named: train(*given, **{**named, "save_every": 0.0})  # noqa: E731
        monkeypatch.setattr(f"clinprompt.stages.{stage}.train", often)
    stops, seen = iter([2, 4, 5]), []

    @contextmanager
    def dying(name, total):
        left = next(stops, None)
        steps = 0

        def advance(count=1, **values):
            nonlocal steps
            steps += 1
            seen.append(count)
            if left is not None and steps >= left:
                raise Killed

        yield advance

    for _ in range(8):
        try:
            run = adapt(given, runs=tmp_path / "torn", opened=opened, progress=dying)
            break
        except Killed:
            continue
    assert read_adapted(run.outputs) == straight and len(seen) > 3
    assert not run.checkpoints.exists()
    if method is WEIGHTS:  # a fold that was finished is passed over in one step
        assert method.budget.steps in seen


def test_too_few_groups_end_before_anything_is_trained(opened, data, tmp_path, monkeypatch):
    backbone, opened = opened
    monkeypatch.setattr("clinprompt.training.loop._Loop.advance", lambda *_: pytest.fail("something was trained"))
    for method in (PROMPTS, WEIGHTS):
        many = method.model_copy(update={"budget": replaced(method.budget, folds=5)})
        with pytest.raises(InputError) as caught:
            adapt(settings(backbone, data, many), runs=tmp_path, opened=opened)
        said = str(caught.value)
        assert (
            "5 folds need training examples of at least 5" in said and "drugs/k4-d0" in said and "fewer folds" in said
        )


def test_no_dev_part_is_needed_and_one_rate_is_measured_all_the_same(opened, tmp_path):
    backbone, opened = opened
    import_data(write_notes(tmp_path / "notes", 6), tmp_path / "data", name="drugs", reader="brat", dev=0.0, test=0.0)
    one = PROMPTS.model_copy(update={"budget": replaced(PROMPTS.budget, rates=(0.3,))})
    run = adapt(settings(backbone, tmp_path / "data", one), runs=tmp_path / "runs", opened=opened)
    found = [cell for cell in read_adapted(run.outputs) if cell.shots != "0"]
    assert [cell.rate for cell in found] == [0.3, 0.3]
    assert all(list(cell.fold_losses) == ["0.3"] and cell.fold_losses["0.3"] > 0 for cell in found)
    summary = json.loads((run.path / "done.json").read_text())["summary"]
    assert summary["cells"] == 3


def test_a_fold_trains_on_the_rest_in_the_order_of_the_cell():
    examples = [of_group(number, f"g{number % 4}") for number in range(9)]
    cell = cell_of(None, examples, (), "task/full")
    made = fold_cells(cell, n=3)
    assert [one.name for one in made] == ["task/full#1", "task/full#2", "task/full#3"]
    for one in made:
        assert [example for example in examples if example in one.train] == list(one.train)
        assert not {example.group for example in one.train} & {example.group for example in one.dev}
        assert len(one.train) + len(one.dev) == 9
    assert replace(cell, rate=0.5).tried(Budget(rates=(0.1, 0.2))) == (0.5,)


def test_teachers_know_no_folds(opened, data, tmp_path):
    backbone, opened = opened
    with pytest.raises(InputError, match="cross-validation is for adapting"):
        teach(TeachSettings(backbone=backbone, sources=(data,), budget=Budget(folds=2)), runs=tmp_path, opened=opened)
