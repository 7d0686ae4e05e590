from dataclasses import replace
from unittest.mock import patch

import pytest
import torch

from clinprompt.backbones.protocol import Generation, Placement, RawAnswer
from clinprompt.errors import InputError
from clinprompt.inference.engines.local import LocalEngine
from clinprompt.inference.predictor import Predictor, Question
from clinprompt.schema.example import Answer, Example
from clinprompt.tasks.catalog import load_task
from clinprompt.tasks.template import TEMPLATES

SHORT = Generation(8)


def example(name, note, **inputs):
    return Example(id=name, inputs={"note": note, **inputs}, answer=Answer(), group=name)


def prompt(length, seed):
    return torch.randn(length, 32, generator=torch.Generator().manual_seed(seed)) * 0.4


@pytest.fixture(scope="module")
def questions():
    """Two tasks, prompts of two lengths in both places and none, notes of different lengths."""
    medications, flag = load_task("medications"), load_task("lab-flag")
    return [
        Question(example("a", "takes aspirin 81 mg"), medications, prompt(4, 1), Placement.suffix, "one"),
        Question(example("b", "no drugs"), medications, prompt(4, 2), Placement.suffix, "two"),
        Question(example("c", "sodium 120"), flag, prompt(4, 3), Placement.prefix, "three"),
        Question(example("d", "takes warfarin 5 mg and insulin"), medications),
        Question(example("e", "x" * 90), medications, prompt(7, 4), Placement.suffix),
        Question(example("f", "potassium 4.0"), flag, prompt(4, 1), Placement.suffix),
        Question(example("g", "potassium 4.0"), flag),
    ]


def test_any_mix_gives_what_each_question_gives_alone_in_the_order_asked(backbone, questions):
    predictor = Predictor(backbone, TEMPLATES["markers"], generation=SHORT)
    seen = []
    together = predictor.predict(questions, watch=seen.append)
    assert [found.example for found in together] == list("abcdefg")
    assert together == [predictor.predict([question])[0] for question in questions]
    assert sum(seen) == len(questions)
    assert len({found.raw for found in together}) > 3  # otherwise the order would not be tested
    backwards = predictor.predict(questions[::-1])
    assert backwards[::-1] == together


def test_few_rows_at_a_time_change_nothing(backbone, questions):
    whole = Predictor(backbone, TEMPLATES["markers"], generation=SHORT).predict(questions)
    engine = LocalEngine(backbone, rows=1, tokens=1)
    assert Predictor(backbone, TEMPLATES["markers"], generation=SHORT, engine=engine).predict(questions) == whole


def test_the_likeliest_choice_can_always_be_read(backbone, questions):
    predictor = Predictor(backbone, TEMPLATES["markers"], generation=SHORT, choices=True)
    judge, note = load_task("medication-statements"), "takes aspirin"
    asked = [
        Question(example(str(seed), note, hypothesis="no drugs"), judge, prompt(4, seed), placement)
        for seed in range(4)
        for placement in Placement
    ]
    asked += [question for question in questions if question.task.name == "medications"]
    found = predictor.predict(asked)
    free = Predictor(backbone, TEMPLATES["markers"], generation=SHORT).predict(asked)
    for question, one, written in zip(asked, found, free, strict=True):
        if question.task is judge:
            assert one.answer.label in judge.labels and one.report.unreadable == 0
            assert dict(one.provenance)["decoding"] == "likeliest choice"
            assert written.answer.label is None  # a random network writes no class
            texts = [[" " + judge.words(label) for label in judge.labels]]
            [values] = predictor.engine.likelihoods([predictor.request(question)], texts)
            assert judge.labels[values.index(max(values))] == one.answer.label
        else:
            assert one == written
    assert "likeliest choice" not in {dict(one.provenance)["decoding"] for one in free}


def test_a_prompt_and_its_place_change_the_answer(backbone, questions):
    predictor = Predictor(backbone, TEMPLATES["markers"], generation=SHORT)
    asked = questions[0]
    other = [asked, replace(asked, vectors=None), replace(asked, placement=Placement.prefix)]
    assert len({found.raw for found in predictor.predict(other)}) == 3


def test_answers_that_the_limit_cut_are_counted(backbone, questions):
    predictor = Predictor(backbone, TEMPLATES["markers"], generation=SHORT)
    answers = {"a": RawAnswer(" medication: aspirin", 8, True), "b": RawAnswer(" none", 1, False)}
    by_name = lambda requests, *_, **__: [answers[request.row.name] for request in requests]  # noqa: E731
    with patch.object(predictor.engine, "answers", by_name):
        cut, whole = predictor.predict(questions[:2])
    assert (cut.report.truncated, whole.report.truncated) == (1, 0)
    assert cut.raw == " medication: aspirin"
    [span] = cut.answer.spans
    assert span.fragments == ((6, 13),)


def test_the_provenance_says_what_answered(backbone, questions):
    found = Predictor(backbone, TEMPLATES["markers"], generation=SHORT).predict(questions[:1])[0]
    assert dict(found.provenance) == {
        "task": "medications",
        "prompt": "one",
        "backbone": backbone.fingerprint,
        "engine": "local",
        "dtype": "float64",
        "grounding": "checked",
        "decoding": "greedy, at most 8 tokens",
    }


def test_room_is_kept_for_prompt_and_answer(backbone, questions):
    long = replace(questions[0], example=example("long", "zebra " * 500))
    with pytest.raises(InputError, match="long") as caught:
        Predictor(backbone, TEMPLATES["markers"], generation=SHORT).predict([questions[1], long])
    assert "zebra" not in str(caught.value)
    with pytest.raises(InputError, match="2048"):
        Predictor(backbone, TEMPLATES["markers"], generation=Generation(2048)).predict(questions[:1])


def test_no_questions_give_no_predictions(backbone):
    assert Predictor(backbone, TEMPLATES["markers"]).predict([]) == []
