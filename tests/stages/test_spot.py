"""SPoT: each cell begins with the source prompt that makes its own examples likeliest, and trains as it would alone."""

from __future__ import annotations

import pytest
import torch

from clinprompt.backbones.protocol import Placement, PromptVectors
from clinprompt.errors import InputError
from clinprompt.prompts.prompt_file import load_prompt
from clinprompt.stages.adapt import adapt
from clinprompt.stages.adapted import plan_cells, read_adapted
from clinprompt.stages.configs import AdaptSettings, PrepareSettings, PromptSettings, TeachSettings
from clinprompt.stages.methods import Budget, PromptTuning, Spot
from clinprompt.stages.prepare import prepare
from clinprompt.stages.prepared import open_prepared
from clinprompt.stages.source_prompts import teachers_of
from clinprompt.stages.spot_prompts import spot_prompts
from clinprompt.stages.teach import teach
from clinprompt.study.job import run_job
from clinprompt.study.recipe import Recipe, Scoring, Sources
from clinprompt.study.study_file import Partition, Study

LIMITS = {"train": 4, "dev": 2, "test": 2}
SOURCES = ("medications", "impression", "drug-route")
TARGETS = ("lab-flag", "substance-use-site-b")
SHORT = Budget(steps=2, batch=2, rates=(0.1,), dev_limit=2)
PROMPT = PromptSettings(length=4)


@pytest.fixture(scope="module")
def tasks(tmp_path_factory):
    runs = tmp_path_factory.mktemp("data")
    return {name: prepare(PrepareSettings(task=name, limits=LIMITS), runs=runs).path for name in (*SOURCES, *TARGETS)}


@pytest.fixture(scope="module")
def taught(tasks, opened, tmp_path_factory):
    # A high rate, so that the teachers differ by more than rounding.
    settings = TeachSettings(
        sources=tuple(tasks[name] for name in SOURCES),
        prompt=PROMPT,
        start="vocabulary",
        budget=SHORT.model_copy(update={"rates": (3.0,)}),
    )
    return teach(settings, runs=tmp_path_factory.mktemp("teach"), opened=opened)


def adapted(taught, tasks, opened, runs, *, targets=TARGETS, shots=(2,), budget=SHORT):
    settings = AdaptSettings(
        targets=tuple(tasks[name] for name in targets), method=Spot(budget=budget), teachers=taught.path, shots=shots
    )
    run = adapt(settings, runs=runs, opened=opened)
    return {cell.key: (cell, load_prompt(run.outputs / cell.file)) for cell in read_adapted(run.outputs)}


@torch.no_grad()
def naive_losses(opened, plan, taught):
    """Each teacher's mean loss over the answer tokens of the cell's examples, one example at a time."""
    found = {}
    for name in SOURCES:
        vectors = load_prompt(taught.outputs / f"{name}.safetensors").vectors
        rows = opened.rows(plan.cell.train, plan.cell.task, reserve=4)
        given = PromptVectors(vectors[None], Placement.suffix, owner=(0,))
        losses = torch.cat([opened.backbone.forward([row], given).losses for row in rows])
        found[name] = float(losses.mean())
    return found


def test_a_cell_begins_with_the_source_of_the_lowest_loss_on_its_own_examples(opened, tasks, taught, tmp_path):
    plans = plan_cells([open_prepared(tasks[name]) for name in TARGETS], shots=(0, 1, 3), draws=(0, 1), seed=1)
    teachers = teachers_of(taught.path, opened)
    start = spot_prompts(opened, [plan.cell for plan in plans], teachers, copies=2)
    vectors = start.source.folded()
    chosen = set()
    for i, (plan, name) in enumerate(zip(plans, start.chosen, strict=True)):
        assert torch.equal(vectors[2 * i], vectors[2 * i + 1])
        if not plan.cell.train:
            assert name == ""
            continue
        losses = naive_losses(opened, plan, taught)
        assert name == min(losses, key=losses.__getitem__)
        chosen.add(name)
        assert torch.equal(vectors[2 * i], load_prompt(taught.outputs / f"{name}.safetensors").vectors)
        unit = vectors[2 * i].square().mean().sqrt()
        assert start.rates(i, 0.5)["prompt"] == pytest.approx(0.5 * float(unit))
    assert chosen


def test_a_gang_gives_each_cell_what_it_has_alone_and_records_its_source(opened, tasks, taught, tmp_path):
    budget = SHORT.model_copy(update={"rates": (0.1, 0.3)})
    together = adapted(taught, tasks, opened, tmp_path, shots=(1, 3), budget=budget)
    for name in TARGETS:
        for shots in (1, 3):
            own = tmp_path / f"{name} {shots}"  # in one folder a cell would be taken from the run before
            alone = adapted(taught, tasks, opened, own, targets=(name,), shots=(shots,), budget=budget)
            [(key, (cell, prompt))] = alone.items()
            same, other = together[key]
            assert (cell.source, cell.rate, cell.trainable) == (same.source, same.rate, 4 * 32)
            assert cell.source in SOURCES and prompt.card.lineage.sources == (cell.source,)
            assert (prompt.card.method, prompt.card.length) == ("spot", 4)
            start = load_prompt(taught.outputs / f"{cell.source}.safetensors").vectors
            assert not torch.allclose(prompt.vectors, start, atol=1e-4)
            torch.testing.assert_close(prompt.vectors, other.vectors, rtol=1e-5, atol=1e-6)


def test_without_examples_it_is_prompt_tuning_without_examples(opened, tasks, taught, tmp_path):
    found = adapted(taught, tasks, opened, tmp_path, shots=(0,))
    settings = AdaptSettings(
        targets=tuple(tasks[name] for name in TARGETS), method=PromptTuning(budget=SHORT), prompt=PROMPT, shots=(0,)
    )
    run = adapt(settings, runs=tmp_path, opened=opened)
    for cell in read_adapted(run.outputs):
        spot, prompt = found[cell.key]
        assert torch.equal(prompt.vectors, load_prompt(run.outputs / cell.file).vectors)
        assert (spot.source, spot.trainable, prompt.card.lineage.sources) == ("", 0, ())


def test_an_encoder_begins_with_the_scorers_of_the_source_too(backbones, data, tmp_path):
    settings, encoder = backbones["bert"]
    sources = tuple(data / name for name in ("doses", "drugs"))
    given = TeachSettings(backbone=settings, sources=sources, prompt=PROMPT, budget=SHORT)
    taught = teach(given, runs=tmp_path, opened=encoder)
    still = Budget(steps=1, batch=1, rates=(1e-9,), head_rate=1e-9)
    asked = AdaptSettings(
        backbone=settings, targets=(data / "meds",), method=Spot(budget=still), teachers=taught.path, shots=(0, 2)
    )
    run = adapt(asked, runs=tmp_path, opened=encoder)
    free, cell = read_adapted(run.outputs)
    plan = plan_cells([open_prepared(data / "meds")], shots=(2,), draws=(0,), seed=1)[0]
    losses, teachers = {}, {}
    for name in ("doses", "drugs"):
        teachers[name] = load_prompt(taught.outputs / f"{name}.safetensors")
        prompt = PromptVectors(
            teachers[name].vectors[None], Placement.suffix, (0,), heads=encoder.heads([0], start=teachers[name].heads)
        )
        with torch.no_grad():
            rows = encoder.rows(plan.cell.train, plan.cell.task, reserve=4)
            losses[name] = float(torch.cat([encoder.backbone.forward([row], prompt).losses for row in rows]).mean())
    assert cell.source == min(losses, key=losses.__getitem__)
    found = load_prompt(run.outputs / cell.file)
    torch.testing.assert_close(found.vectors, teachers[cell.source].vectors, rtol=1e-5, atol=1e-6)
    for name, tensor in teachers[cell.source].heads.items():
        torch.testing.assert_close(found.heads[name], tensor, rtol=1e-5, atol=1e-6)
    middle = load_prompt(run.outputs / free.file).heads
    for name, tensor in middle.items():
        torch.testing.assert_close(tensor, sum(teacher.heads[name] for teacher in teachers.values()) / 2)


def test_a_recipe_teaches_the_sources_and_scores_it(settings, opened, tmp_path):
    recipe = Recipe(
        name="spot",
        backbone=settings,
        prompt=PROMPT,
        sources=Sources(tasks=SOURCES[:2], teach=SHORT, distill=SHORT),
        targets=TARGETS[:1],
        limits=LIMITS,
        methods={"spot": Spot(budget=SHORT)},
        shots=(0, 2),
        score=Scoring(limit=1, answer_tokens=4, resamples=100),
    )
    result = run_job(recipe, runs=tmp_path, opened=opened)
    cells = {cell.record["shots"]: cell.record for cell in result.cells if cell.method == "spot"}
    assert cells["2"]["source"] in SOURCES[:2] and cells["0"]["source"] == ""
    assert {line.trainable for line in result.lines if line.method == "spot"} == {0, 4 * 32}
    assert result.metaprompt is None and not (tmp_path / "distill").exists()  # nothing starts from one


def test_a_metaprompt_file_in_place_of_sources_is_refused(tasks, taught, tmp_path):
    methods = {"methods": {"spot": Spot()}, "targets": TARGETS}
    with pytest.raises(ValueError, match="`metaprompt` file does not hold these prompts"):
        Recipe(name="a", metaprompt=tmp_path / "metaprompt.safetensors", **methods)
    with pytest.raises(ValueError, match="`metaprompts` do not hold these prompts"):
        Study(
            name="a",
            tasks=Partition(targets=TARGETS),
            methods=methods["methods"],
            metaprompts={"embedded": tmp_path / "metaprompt.safetensors"},
        )
    with pytest.raises(ValueError, match="spot and attention, and no other, take `teachers`"):
        AdaptSettings(targets=(tasks["lab-flag"],), method=Spot())
    with pytest.raises(ValueError, match="and no other, take `teachers`"):
        AdaptSettings(targets=(tasks["lab-flag"],), method=PromptTuning(), teachers=taught.path)


def test_what_is_no_run_of_teachers_is_refused(opened, tasks, tmp_path):
    settings = AdaptSettings(targets=(tasks["lab-flag"],), method=Spot(), teachers=tasks["lab-flag"])
    with pytest.raises(InputError, match="not a finished run of `clinprompt teach`"):
        adapt(settings, runs=tmp_path, opened=opened)
