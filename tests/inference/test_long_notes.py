from __future__ import annotations

import math
from dataclasses import replace
from unittest.mock import patch

import pytest
import torch

from clinprompt.backbones.protocol import Generation, RawAnswer
from clinprompt.errors import InputError
from clinprompt.inference.coverage import coverage
from clinprompt.inference.engines.local import LocalEngine
from clinprompt.inference.long_notes import LongNotes
from clinprompt.inference.predictor import Predictor, Question
from clinprompt.schema.document import Relation, Span
from clinprompt.schema.example import Answer, Example
from clinprompt.schema.prediction import Prediction
from clinprompt.tasks.catalog import load_task, task_from
from clinprompt.tasks.template import TEMPLATES

LONG = "".join(f"Line {number} says that nothing happened on that day.\n" for number in range(90))
FREE = task_from(
    {"name": "asked", "kind": "question-answering", "codec": "free_text", "instruction": "answer.",
     "metrics": ["token-f1"]}, where="test",
)  # fmt: skip


@pytest.fixture(scope="module")
def predictor(backbone):
    return Predictor(backbone, TEMPLATES["markers"], generation=Generation(8))


def question(task, note=LONG, **inputs):
    vectors = torch.randn(4, 32, generator=torch.Generator().manual_seed(3)) * 0.4
    return Question(Example("n", {"note": note, **inputs}, Answer(), "n", offset=7), task, vectors)


def speaking(say):
    """An engine that answers by the note's text."""

    def answers(self, requests, generation, *, watch):
        texts = [self.backbone.tokenizer.decode(list(request.row.context)) for request in requests]
        watch(len(texts))
        return [RawAnswer(say(text.removeprefix("<note>").partition("<")[0].strip()), 3, False) for text in texts]

    return patch.object(LocalEngine, "answers", answers)


def test_a_note_that_has_room_is_read_as_before(predictor):
    asked = [question(load_task("medications"), "takes aspirin"), question(load_task("lab-flag"), "sodium 120")]
    notes = LongNotes(predictor)
    plans = [notes.plan(one) for one in asked]
    assert notes.answers(plans) == predictor.predict(asked)
    assert [coverage(plan, Prediction("n", Answer())).strategy for plan in plans] == ["whole", "whole"]


@pytest.mark.parametrize(("rule", "strategy"), [("surest", "surest choice"), ("summed", "summed log-likelihood")])
def test_a_choice_is_made_of_the_likelihoods_in_every_window(predictor, rule, strategy):
    task = load_task("medication-statements")
    asked = question(task, hypothesis="no drugs")
    notes = LongNotes(predictor, choices=rule)
    plan = notes.plan(asked)
    assert len(plan.places) > 1
    seen = []
    [found] = notes.answers([plan], watch=seen.append)
    values = []
    for start, end in plan.places:
        part = replace(
            asked, example=replace(asked.example, inputs={"note": LONG[start:end], "hypothesis": "no drugs"})
        )
        values.append([predictor.likelihoods([part], [[" " + task.words(label)]])[0][0] for label in task.labels])
    if rule == "surest":
        shares = [[value - math.log(sum(map(math.exp, row))) for value in row] for row in values]
        totals = [max(column) for column in zip(*shares, strict=True)]
    else:
        totals = [sum(column) for column in zip(*values, strict=True)]
    assert found.answer.label == task.labels[totals.index(max(totals))]
    assert strategy in found.provenance["long_notes"] and found.provenance["decoding"] == "likeliest choice"
    assert sum(seen) == len(plan.places)


def test_of_written_answers_the_surest_is_taken(predictor):
    asked = question(FREE, question="what happened?")
    notes = LongNotes(predictor)
    plan = notes.plan(asked)
    with speaking(lambda text: " " + text.split()[1] + ("x" * (int(text.split()[1]) % 7))):
        [found] = notes.answers([plan])
    means = {}
    for start, end in plan.places:
        number = LONG[start:end].split()[1]
        text = " " + number + "x" * (int(number) % 7)
        part = replace(asked, example=replace(asked.example, inputs={**asked.example.inputs, "note": LONG[start:end]}))
        means[text] = predictor.likelihoods([part], [[text]])[0][0] / (len(text) + 1)  # a byte is a token here
    assert len(means) == len(plan.places) > 1
    assert found.answer.text == max(means, key=means.__getitem__).removeprefix(" ")
    assert found.provenance["long_notes"] == f"{len(plan.places)} windows, surest answer"
    with speaking(lambda text: " " if text.startswith("Line 0 ") else " yes"):
        assert notes.answers([plan])[0].answer.text == "yes"


def test_summaries_are_joined_or_summarised_again(predictor):
    asked = question(load_task("impression"))
    joined, again = (LongNotes(predictor, summaries=rule) for rule in ("joined", "again"))
    plan = joined.plan(asked)
    heads = [f"Line {LONG[start:end].split()[1]} counts." for start, end in plan.places]
    seen = []

    def say(text):
        seen.append(text)
        return " in short" if "counts" in text else f" Line {text.split()[1]} counts."

    with speaking(say):
        [found] = joined.answers([plan])
        assert found.answer.text == "\n".join(heads) and "summaries joined" in found.provenance["long_notes"]
        seen.clear()
        [found] = again.answers([again.plan(asked)])
    assert found.answer.text == "in short" and seen[-1] == "\n".join(heads) and len(seen) == len(heads) + 1
    assert found.example == "n" and found.report.items == len(heads) + 1
    assert found.provenance["long_notes"] == f"{len(heads)} windows, summaries summarised again"


def test_summaries_too_long_for_the_context_are_summarised_in_windows_and_end(predictor):
    rounds = []
    notes = LongNotes(predictor, summaries="again")
    with speaking(lambda text: rounds.append(len(text)) or " " + text[: len(text) * 2 // 3]):
        [found] = notes.answers([notes.plan(question(load_task("impression"), LONG * 3))])
    assert 0 < len(found.answer.text) < 2000 and len(rounds) > 15
    with speaking(lambda text: " " + text + "!"):  # summaries no shorter than the note come back joined
        [found] = notes.answers([notes.plan(question(load_task("impression")))])
    assert len(found.answer.text) >= len(LONG)


def test_spans_of_windows_measured_in_tokens_are_merged_at_their_places(predictor):
    note = "Ä" * 30 + " aspirin. " + LONG[:900] + "warfarin daily. 😀" * 3
    asked = question(load_task("medications"), note)
    notes = LongNotes(predictor)
    said = " medication: aspirin; medication: warfarin; medication: warfarin; medication: warfarin"
    for tokens in (90, 200, 400):
        plan = notes.plan(asked, tokens=tokens, overlap=20)
        assert all(len(note[start:end].encode()) <= tokens for start, end in plan.places)
        assert plan.overlap >= 20
        with speaking(lambda text: said):
            [found] = notes.answers([plan])
        expected = [note.index("aspirin"), *(i for i in range(len(note)) if note.startswith("warfarin", i))]
        assert [span.start for span in found.answer.spans] == expected
        # Certain is what some window has once.
        unsure = {
            span.id
            for span in found.answer.spans
            if all(
                note.count(span.surface(note), *place) > 1 for place in plan.places if place[0] <= span.start < place[1]
            )
        }
        assert set(found.ambiguous) == unsure and len(unsure) >= 2
        line = coverage(plan, found)
        assert (line.truncated, line.read, line.characters) == (0, len(note), len(note))


def test_a_window_without_a_word_is_not_asked_and_counts_as_blank(predictor):
    note = "takes aspirin" + "\n" * 500 + "daily"
    notes = LongNotes(predictor)
    plan = notes.plan(question(load_task("medications"), note), longest=60, overlap=10)
    line = coverage(plan, Prediction("n", Answer()))
    assert line.windows == len(plan.places) < 6 and line.blank > 300
    assert line.read + line.blank == len(note) and line.truncated == 0


def test_what_a_plan_leaves_out_is_told(predictor):
    plan = LongNotes(predictor).plan(question(load_task("medications")), longest=600)
    cut = replace(plan, places=plan.places[:1])
    line = coverage(cut, Prediction("n", Answer()))
    assert line.truncated == sum(not sign.isspace() for sign in LONG[plan.places[0][1] :]) > 0


def test_pairs_that_no_window_held_are_counted(predictor):
    task = load_task("dose-of-drug")
    [schema] = task.relations.values()
    plan = replace(
        LongNotes(predictor).plan(question(task, "x" * 30), longest=20, overlap=5), places=((0, 20), (15, 30))
    )
    heads = [Span(schema.head[0], ((at, at + 2),), f"h{at}") for at in (0, 16, 25)]
    tails = [Span(schema.tail[0], ((at, at + 2),), f"t{at}") for at in (4, 17, 28)]
    answer = Answer(spans=(*heads, *tails), relations=(Relation("x", "h0", "t4"),))
    apart = [
        (head, tail)
        for head in heads
        for tail in tails
        if not any(min(head.start, tail.start) >= a and max(head.end, tail.end) <= b for a, b in plan.places)
    ]
    assert coverage(plan, Prediction("n", answer)).pairs_apart == len(apart) == 2


def test_no_room_for_a_note_is_refused_without_its_text(predictor):
    notes = LongNotes(predictor)
    with pytest.raises(InputError, match="no room for the note") as caught:
        notes.plan(question(FREE, question="why? " * 500))
    assert "why" not in str(caught.value) and "Line" not in str(caught.value) and "example n" in str(caught.value)
