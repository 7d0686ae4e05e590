"""Examples before the note: as many as fit, the same answers as the naive way, and the bare instruction without any."""

from __future__ import annotations

import json
from dataclasses import replace
from unittest.mock import patch

import pytest
import torch

from clinprompt.data.fewshot import draw
from clinprompt.data.store import read_examples
from clinprompt.errors import InputError
from clinprompt.prompts.prompt_file import read_card
from clinprompt.schema.example import Split
from clinprompt.stages.adapt import adapt
from clinprompt.stages.adapted import SHOWN, Applied, plan_cells, read_adapted
from clinprompt.stages.configs import AdaptSettings, DecodingSettings, EvaluateSettings, PrepareSettings
from clinprompt.stages.evaluate import evaluate
from clinprompt.stages.in_context import FILE, room_of, shown_of
from clinprompt.stages.methods import InContext, Instruction
from clinprompt.stages.prepare import prepare
from clinprompt.stages.prepared import open_prepared
from clinprompt.stages.scores import read_scores
from clinprompt.study.job import run_job
from clinprompt.study.recipe import Recipe, Scoring
from clinprompt.tasks.formulations.generative import formulate, work_through

NAMES = ("lab-flag", "substance-use-site-b")
LIMITS = {"train": 5, "dev": 2, "test": 3}


@pytest.fixture(scope="module")
def targets(tmp_path_factory):
    runs = tmp_path_factory.mktemp("data")
    return tuple(prepare(PrepareSettings(task=name, limits=LIMITS), runs=runs).path for name in NAMES)


@pytest.fixture(scope="module")
def plans(targets):
    return plan_cells([open_prepared(path) for path in targets], shots=(0, 3, "full"), draws=(0,), seed=1)


def scored(run, targets, runs, opened, **options):
    asked = {"limit": 2, "answer_tokens": 6, "resamples": 100, **options}
    return evaluate(EvaluateSettings(adapted=run.path, targets=targets, **asked), runs=runs, opened=opened)


def said(run, key):
    lines = (run.outputs / key / "predictions.jsonl").read_text().splitlines()
    return [{name: value for name, value in json.loads(line).items() if name != "provenance"} for line in lines]


def test_the_cells_hold_their_examples_and_are_scored_with_them(opened, targets, tmp_path):
    run = adapt(AdaptSettings(targets=targets, method=InContext(), shots=(0, 2)), runs=tmp_path, opened=opened)
    cells = {cell.key: cell for cell in read_adapted(run.outputs)}
    free, two = cells["lab-flag/k0-d0"], cells["lab-flag/k2-d0"]
    assert (free.shown, free.file, free.trainable) == (0, "", 0)
    assert (two.shown, two.train_examples, two.trainable, two.is_prompt) == (2, 2, 0, False)
    plan = plan_cells([open_prepared(targets[0])], shots=(2,), draws=(0,), seed=1)[0]
    assert {one.id for one in read_examples(run.outputs / two.file)} == {one.id for one in plan.cell.train}
    text = (run.outputs / two.key / SHOWN).read_text()
    assert all(example.note in text for example in plan.cell.train)

    result = scored(run, targets, tmp_path, opened)
    records = {(cell["task"], cell["shots"]): cell for cell in read_scores(result.path)}
    assert records["lab-flag", "2"]["shown"] == 2 and records["lab-flag", "2"]["likelihood"]
    bare = adapt(AdaptSettings(targets=targets, method=Instruction(), shots=(0,)), runs=tmp_path, opened=opened)
    plain = scored(bare, targets, tmp_path, opened)
    for name in NAMES:
        assert said(result, f"{name}/k0-d0") == said(plain, f"{name}/k0-d0") != said(result, f"{name}/k2-d0")
        assert records[name, "0"]["scores"] == read_scores(plain.path)[NAMES.index(name)]["scores"]


@pytest.mark.parametrize("kind", ["greedy", "beams", "choices"])
def test_answers_are_those_of_rows_that_are_run_whole_and_the_examples_are_run_once(kind, opened, plans):
    plan = next(plan for plan in plans if plan.cell.task.name == "lab-flag" and plan.shots == "3")
    shown = shown_of(plan, opened, room=4000)
    questions = [
        Applied(shown=shown).question(one, plan.cell.task, opened.template, name="q")
        for one in plan.prepared.part(Split.test)
    ]
    decoding = DecodingSettings(kind=kind, beams=2) if kind == "beams" else DecodingSettings(kind=kind)
    predictor = opened.predictor(decoding, tokens=6)
    states, ran = opened.backbone.states, []
    with patch.object(opened.backbone, "states", lambda runs, **o: ran.extend(runs) or states(runs, **o)):
        predictor.engine.notes.prefill = opened.backbone.states
        found = predictor.predict(questions)
    assert len(ran) == 1 and len(ran[0]) > 500
    for question, prediction in zip(questions, found, strict=True):
        row = predictor.request(question).row
        naive = opened.predictor(decoding, tokens=6)
        whole = replace(row, shared=None)
        with patch.object(naive, "_encode", lambda question, whole=whole: whole):
            [alone] = naive.predict([question])
        assert (alone.raw, alone.answer) == (prediction.raw, prediction.answer)


@torch.no_grad()
def test_likelihoods_behind_examples_are_those_of_the_whole_text(opened, plans):
    plan = next(plan for plan in plans if plan.cell.task.name == "lab-flag" and plan.shots == "3")
    shown, task = shown_of(plan, opened, room=4000), plan.cell.task
    example = plan.prepared.part(Split.test)[0]
    predictor = opened.predictor(DecodingSettings(), tokens=6)
    question = Applied(shown=shown).question(example, task, opened.template, name="q")
    texts = predictor.possible(question)
    [found] = predictor.likelihoods([question], [texts])
    backbone = opened.backbone
    pair = formulate(example, task, opened.template, with_answer=False, shown=shown)
    given = [backbone.bos, *(t for piece in (*pair.shown, *pair.context, *pair.cue) for t in backbone.tokens(piece))]
    for text, value in zip(texts, found, strict=True):
        answer = backbone.with_answer(predictor.request(question).row, text).answer
        logits = backbone.model(torch.tensor([[*given, *answer[:-1]]]), use_cache=False).logits[0, len(given) - 1 :]
        likely = logits.log_softmax(-1)[range(len(answer)), list(answer)].sum()
        assert value == pytest.approx(float(likely), rel=1e-5)


def test_examples_are_taken_as_drawn_while_they_fit_and_shuffled_by_the_seed(opened, plans):
    plan = next(plan for plan in plans if plan.cell.task.name == "lab-flag" and plan.shots == "full")
    everyone = shown_of(plan, opened, room=100_000)
    assert {one.id for one in everyone} == {one.id for one in plan.cell.train}
    assert everyone == shown_of(plan, opened, room=100_000)
    seeds = [replace(plan, cell=replace(plan.cell, seed=n)) for n in range(1, 5)]
    orders = {tuple(one.id for one in shown_of(other, opened, room=100_000)) for other in seeds}
    assert len(orders) > 1

    def size(shown):
        pair = formulate(everyone[0], plan.cell.task, opened.template, shown=shown)
        return sum(len(opened.backbone.tokens(piece)) for piece in pair.shown)

    whole = size(everyone)
    assert len(shown_of(plan, opened, room=whole)) == len(everyone)
    fewer = shown_of(plan, opened, room=whole - 1)
    assert 0 < len(fewer) < len(everyone) and size(fewer) < whole
    assert shown_of(plan, opened, room=5) == ()
    three = next(plan for plan in plans if plan.cell.task.name == "lab-flag" and plan.shots == "3")
    first = three.cell.train[0]
    assert [one.id for one in shown_of(three, opened, room=size([first]))] == [first.id]


def naive(plan, opened, room):
    """The ids of the examples that fit, each read whole."""
    drawn, taken, used = plan.cell.train, [], 0
    if plan.shots == "full":
        drawn = draw(drawn, k=len(drawn), seed=plan.prepared.draw_seed, draw=0)
    for example in drawn:
        pieces = work_through([*taken[:1], example], plan.cell.task, opened.template)
        own = pieces[len(work_through(taken[:1], plan.cell.task, opened.template)) :]
        size = sum(len(opened.backbone.tokens(piece)) for piece in own)
        if used + size <= room:
            taken, used = [*taken, example], used + size
    return {example.id for example in taken}


def test_notes_are_not_read_where_nothing_more_has_room_and_what_is_taken_is_the_same(opened, plans):
    for plan in (plan for plan in plans if plan.cell.train):
        for room in (5, 100, 300, 700, 1000, 1500, 2500, 100_000):
            assert {one.id for one in shown_of(plan, opened, room=room)} == naive(plan, opened, room), room
    plan = next(plan for plan in plans if plan.cell.task.name == "lab-flag" and plan.shots == "full")
    read, tokens = [], opened.backbone.tokens
    with patch.object(opened.backbone, "tokens", lambda piece: read.append(piece.text) or tokens(piece)):
        assert shown_of(plan, opened, room=5) == ()
    assert not [one.id for one in plan.cell.train if any(one.note in text for text in read)]


def test_what_does_not_fit_is_counted_and_told(settings, opened, tmp_path):
    told = []
    recipe = Recipe(
        name="small", backbone=settings, targets=NAMES[:1], limits=LIMITS, methods={"few": InContext(fit=700)}, shots=(0, "full"),
        seeds=(1, 2), score=Scoring(limit=1, answer_tokens=4, resamples=100),
    )  # fmt: skip
    result = run_job(recipe, runs=tmp_path, opened=opened, say=lambda stage, text: told.append(text))
    few = [cell.record for cell in result.cells if cell.method == "few"]
    assert len(few) == 2 * 2 and all(0 < record["shown"] < 5 for record in few if record["shots"] != "0")
    assert any("lab-flag/full" in text and "of 5 examples have room" in text for text in told)
    assert {(line.shots, line.seeds, line.trainable) for line in result.lines if line.method == "few"} == {
        ("0", 2, 0), ("full", 2, 0)
    }  # fmt: skip


def test_room_is_half_of_the_context_or_what_is_given_and_never_all():
    assert room_of(InContext(), 2048) == 1024 and room_of(InContext(fit=2047), 2048) == 2047
    with pytest.raises(InputError) as caught:
        room_of(InContext(fit=2048), 2048)
    assert "method.fit" in str(caught.value) and "1 to 2047" in str(caught.value)


def test_examples_are_no_prompt_and_are_refused_as_one(opened, targets, tmp_path):
    settings = AdaptSettings(targets=targets[:1], method=InContext(), shots=(1,))
    run = adapt(settings, runs=tmp_path, opened=opened)
    for name in (FILE, SHOWN):
        with pytest.raises(InputError, match="text and no prompt: score the run"):
            read_card(run.outputs / "lab-flag" / "k1-d0" / name)
