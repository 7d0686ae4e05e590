"""Answers written within the form of their task against answers written freely and checked afterwards.

    python -m benchmarks.grounding --threads 1 [--spans 1000000] [--only problems] [--json]

On the embedded backbone, a prompt for each of three tasks (entities, relations, extractive answers) is adapted from the
metaprompt that ships, then the test part is answered in three ways: freely, constrained, and constrained with the whole
mask of allowed tokens computed at every step, which must give the same answers. Told are the time per example, what
constraining costs per token, the primary score of both ways, and the shares of answer items that could not be read or
are not in the note. The fuzz run then writes answers token by token, each chosen at random among those allowed, on
made-up notes with quotes, line breaks, signs of the form and other scripts, until ``--spans`` spans (a million) are
written; every one must be a stretch of its note and have a label of its task.
Hardware: CPU of 2 cores, minutes; the fuzz run about two hours on one core. Only float32 is run.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch

from benchmarks.case import Case, Line, Variant
from benchmarks.command import Options, run
from benchmarks.fuzz import fuzz
from benchmarks.timing import Step
from clinprompt.backbones.loading import embedded_metaprompt
from clinprompt.evaluation.score import score_task
from clinprompt.inference import constraint
from clinprompt.inference.predictor import Question
from clinprompt.schema.example import Split
from clinprompt.schema.formulated import Piece
from clinprompt.schema.prediction import Prediction
from clinprompt.stages.adapt import adapt
from clinprompt.stages.adapted import applied, open_adapted
from clinprompt.stages.configs import AdaptSettings, BackboneSettings, DecodingSettings, PrepareSettings
from clinprompt.stages.methods import Budget, Mpt
from clinprompt.stages.opened import Opened, open_backbone
from clinprompt.stages.prepare import prepare
from clinprompt.stages.prepared import open_prepared
from clinprompt.tasks.formulations.generative import answer_form

TASKS = {"problems": {}, "dose-of-drug": {}, "drug-dose": {"codec": "quote"}}
"""Task names and what is changed in them."""
FREE, CONSTRAINED, WHOLE = "free float32", "constrained float32", "constrained, whole mask float32"
SPANS = 1_000_000


@cache
def _opened() -> Opened:
    return open_backbone(BackboneSettings(device="cpu"))


@cache
def _questions(name: str, quick: bool) -> list[Question]:
    """The test part of a task with the prompt that was adapted to it."""
    limits = {"train": 4, "dev": 2, "test": 3} if quick else {"train": 200, "dev": 20, "test": 100}
    opened = _opened()
    with tempfile.TemporaryDirectory() as folder:
        runs = Path(folder)
        data = prepare(PrepareSettings(task=name, limits=limits), runs=runs)
        settings = AdaptSettings(
            targets=(data.path,),
            metaprompt=embedded_metaprompt(),
            method=Mpt(budget=Budget(steps=2 if quick else 150)),
        )
        adapted = adapt(settings, runs=runs, opened=opened)
        outputs, [cell] = open_adapted(adapted.path, opened.identity)
        prepared = open_prepared(data.path)
        task = prepared.task.model_copy(update=TASKS[name])
        with applied(opened, outputs, cell) as given:
            return [given.question(example, task, opened.template, name=name) for example in prepared.part(Split.test)]


def _answers(name: str, quick: bool, *, grounded: bool) -> list[Prediction]:
    decoding = DecodingSettings(grounded=grounded)
    return _opened().predictor(decoding, tokens=12 if quick else 128).predict(_questions(name, quick))


def _never(self: constraint.GrammarConstraint, token: int) -> bool:
    return False


def cases(options: Options) -> Iterator[Case]:
    """One case per task."""
    for name in TASKS:
        yield _case(options, name)


def _case(options: Options, name: str) -> Case:
    def build(way: str) -> Any:
        def step() -> Mapping[str, torch.Tensor]:
            found = _answers(name, options.quick, grounded=way != FREE)
            written = "\n".join(one.raw for one in found)
            return {"text": torch.tensor([float(ord(letter)) for letter in written])}

        def with_whole_masks() -> Mapping[str, torch.Tensor]:
            with patch.object(constraint.GrammarConstraint, "allows", _never):
                return step()

        def built() -> Step:
            _questions(name, options.quick)
            return with_whole_masks if way == WHOLE else step

        return built

    count = 3 if options.quick else 100
    return Case(
        name,
        {
            FREE: Variant(build(FREE), "float32"),
            CONSTRAINED: Variant(build(CONSTRAINED), "float32", like=WHOLE, tolerance=0.0),
            WHOLE: Variant(build(WHOLE), "float32"),
        },
        units=count,
        baselines={"free": (FREE,), "whole mask": (WHOLE,)},
    )


def conclude(lines: list[Line], options: Options) -> dict[str, Any]:
    """Scores and faults of both ways, the cost per token, and the fuzz run."""
    told: dict[str, Any] = {"answers": [], "fuzz": fuzz(options.spans or (60 if options.quick else SPANS))}
    for name in dict.fromkeys(line["case"] for line in lines):
        seconds = {line["variant"]: line["seconds"]["median"] for line in lines if line["case"] == name}
        tokens = {}
        for way in (FREE, CONSTRAINED):
            found = _answers(name, options.quick, grounded=way == CONSTRAINED)
            told["answers"].append({"task": name, "way": way, **_told(name, options.quick, found)})
            tokens[way] = sum(len(_opened().backbone.tokenizer.encode(one.raw)) + 1 for one in found)
        # Both ways write other tokens, so the cost is that of the same number of tokens.
        each = {way: seconds[way] / tokens[way] for way in tokens}
        told["answers"][-1] |= _cost(name, options.quick, found)
        told["answers"][-1]["microseconds per token"] = round(1e6 * each[CONSTRAINED], 1)
        told["answers"][-2]["microseconds per token"] = round(1e6 * each[FREE], 1)
        told["answers"][-1]["overhead per token"] = round(each[CONSTRAINED] / each[FREE] - 1, 4)
    return told


def _told(name: str, quick: bool, found: list[Prediction]) -> dict[str, Any]:
    questions = _questions(name, quick)
    examples = [question.example for question in questions]
    scores = score_task(questions[0].task, examples, found, resamples=200 if quick else 10_000)
    report = scores.report
    primary = scores.primary
    return {
        "metric": primary.metric,
        "score": [round(value, 2) for value in (primary.value, primary.low, primary.high)],
        "items": report.items,
        "not in the note": round(report.unlocated / max(report.items, 1), 4),
        "not readable": round(report.unreadable / max(report.items, 1), 4),
        "cut": report.truncated,
    }


def _cost(name: str, quick: bool, found: list[Prediction]) -> dict[str, float]:
    """Processor time of the constraints alone: to compile one, and per token, as greedy writing uses them."""
    grammars = constraint.grammars_of(_opened().backbone)
    assert isinstance(grammars, constraint.Grammars)
    compiled = advanced = 0.0
    tokens = 0
    for question, one in zip(_questions(name, quick), found, strict=True):
        began = time.thread_time()
        form = answer_form(question.example, question.task)
        state = grammars.constraint(form, _opened().template.joint) if form else None
        compiled += time.thread_time() - began
        for token in _opened().backbone.tokens(Piece(one.raw)):
            began = time.thread_time()
            assert state is not None and state.allows(token)
            state.advance(token)
            advanced += time.thread_time() - began
            tokens += 1
    return {
        "milliseconds to compile": round(1e3 * compiled / len(found), 2),
        "microseconds of constraint per token": round(1e6 * advanced / max(tokens, 1), 1),
    }


def main(argv: list[str] | None = None) -> dict[str, Any]:
    """Run from the command line."""
    return run("grounding", cases, description=__doc__, conclude=conclude, argv=argv)


if __name__ == "__main__":
    main()
