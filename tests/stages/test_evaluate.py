"""Evaluation of choices by the written answer and by likelihood in one run, grounded and free."""

import json

import pytest

from clinprompt.inference.predictor import Predictor, Question
from clinprompt.metrics import METRICS
from clinprompt.metrics.scoring import score
from clinprompt.schema.example import Split
from clinprompt.stages.adapt import adapt
from clinprompt.stages.configs import (
    AdaptSettings,
    BackboneSettings,
    DecodingSettings,
    EvaluateSettings,
    PrepareSettings,
)
from clinprompt.stages.evaluate import evaluate
from clinprompt.stages.methods import Instruction
from clinprompt.stages.opened import open_backbone
from clinprompt.stages.prepare import prepare
from clinprompt.stages.prepared import open_prepared
from clinprompt.stages.scores import read_scores
from tests.made_backbones import tiny_folder


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    place = tmp_path_factory.mktemp("evaluate")
    backbone = BackboneSettings(path=str(tiny_folder(place / "tiny", context=4096, seed=4)))
    opened, runs, limits = open_backbone(backbone), place / "runs", {"train": 2, "dev": 2, "test": 5}
    targets = tuple(
        prepare(PrepareSettings(task=task, limits=limits), runs=runs).path for task in ("lab-flag", "problems")
    )
    settings = AdaptSettings(backbone=backbone, targets=targets, method=Instruction(), shots=(0,))
    adapted = adapt(settings, runs=runs, opened=opened)
    return opened, runs, EvaluateSettings(
        backbone=backbone, adapted=adapted.path, targets=targets, answer_tokens=12, resamples=100
    )  # fmt: skip


def scored(made, **changes):
    opened, runs, settings = made
    run = evaluate(settings.model_copy(update=changes), runs=runs, opened=opened)
    return {cell["task"]: cell for cell in read_scores(run.path)}, run


def test_choices_are_scored_as_written_and_by_likelihood(made):
    opened, _, settings = made
    cells, _ = scored(made)
    assert "likelihood" not in cells["problems"]
    item = open_prepared(settings.targets[0])
    examples = item.part(Split.test)
    questions = [Question(example, item.task) for example in examples]
    found = Predictor(opened.backbone, opened.template, choices=True).predict(questions)
    expected = score(METRICS["accuracy"](()), examples, found, resamples=100)
    [likely] = cells["lab-flag"]["likelihood"]
    assert (likely["metric"], likely["value"], likely["n"]) == ("accuracy", expected.value, 5)
    assert cells["lab-flag"]["grounding"] == {"constrained": 5}
    assert cells["lab-flag"]["report"]["unreadable"] == 0


def test_free_answers_are_checked_and_without_likelihood_there_is_none(made):
    cells, run = scored(made, decoding=DecodingSettings(grounded=False), likelihood=False)
    assert all("likelihood" not in cell and cell["grounding"] == {"checked": 5} for cell in cells.values())
    assert cells["lab-flag"]["report"]["unreadable"] == 5  # a random network names no option
    lines = next(run.outputs.rglob("predictions.jsonl")).read_text().splitlines()
    assert {json.loads(line)["provenance"]["grounding"] for line in lines} == {"checked"}


def test_the_likeliest_answers_are_not_scored_twice(made):
    cells, _ = scored(made, decoding=DecodingSettings(kind="choices"))
    assert "likelihood" not in cells["lab-flag"] and cells["lab-flag"]["report"]["unreadable"] == 0
