"""Constrained answers: the likeliest within the form, each row by itself, on every path of the engine."""

from __future__ import annotations

from dataclasses import replace
from unittest.mock import patch

import pytest
import torch

from clinprompt.backbones.loading import load_backbone
from clinprompt.backbones.protocol import Generation, Placement
from clinprompt.inference.constraint import Grammars, Unconstrainable, allowed_tokens, grammars_of, likeliest
from clinprompt.inference.engines.local import LocalEngine
from clinprompt.inference.predictor import Predictor, Question
from clinprompt.schema.example import Answer, Example
from clinprompt.tasks.catalog import load_task
from clinprompt.tasks.form import OneOf
from clinprompt.tasks.formulations.generative import answer_form
from clinprompt.tasks.template import TEMPLATES
from tests.contracts.test_backbones import in_another_way

TEMPLATE = TEMPLATES["markers"]


class Anything:
    """A constraint that forbids nothing."""

    def __init__(self):
        self.complete, self.ended, self.held = 0, False, True

    def allows(self, token):
        return True

    def fill(self, bits):
        bits.fill_(-1)

    def advance(self, token):
        self.complete += 1

    def fork(self):
        other = Anything()
        other.complete = self.complete
        return other


def example(name, note, **inputs):
    return Example(id=name, inputs={"note": note, **inputs}, answer=Answer(), group=name)


def prompt(seed, length=4):
    return torch.randn(length, 32, generator=torch.Generator().manual_seed(seed)) * 0.4


@pytest.fixture(scope="module")
def questions():
    medications, judge = load_task("medications"), load_task("medication-statements")
    link, summary = load_task("dose-of-drug"), load_task("patient-summary")
    return [
        Question(example("a", 'takes "aspirin"; 81 mg\n|| daily #2 '), medications, prompt(1)),
        Question(example("b", "aspirin 5 mg, insulin 5 mg 😀é"), link, prompt(2), Placement.prefix),
        Question(example("c", "no drugs", hypothesis="takes none"), judge, prompt(3)),
        Question(example("d", "a summary of this"), summary, prompt(4)),
        Question(example("e", " \n"), medications, prompt(5)),
        Question(example("f", "x" * 60), medications, prompt(1), Placement.both),
    ]


def predictor(backbone, *, grounded=True, generation=None, **options):
    grammars = Grammars(backbone) if grounded else None
    return Predictor(backbone, TEMPLATE, generation=generation or Generation(24), grammars=grammars, **options)


@pytest.mark.parametrize("beams", [1, 3])
def test_a_constraint_that_forbids_nothing_changes_nothing(backbone, questions, beams):
    asking = predictor(backbone, grounded=False)
    free = [asking.request(question) for question in questions]
    bound = [replace(request, constraint=Anything) for request in free]
    generation = Generation(10, beams=beams)
    expected = LocalEngine(backbone).answers(free, generation)
    found = LocalEngine(backbone).answers(bound, generation)
    assert [replace(one, constrained=False) for one in found] == expected
    assert all(one.constrained for one in found)


def test_answers_are_within_the_form_and_a_free_network_s_are_not(backbone, questions):
    found = predictor(backbone).predict(questions)
    ways = [dict(one.provenance)["grounding"] for one in found]
    assert ways == ["constrained", "constrained", "constrained", "free text", "constrained", "constrained"]
    assert sum(one.report.unreadable + one.report.unlocated for one in found) == 0
    free = predictor(backbone, grounded=False).predict(questions)
    assert sum(one.report.unreadable for one in free) >= 4
    assert {dict(one.provenance)["grounding"] for one in free} == {"checked", "free text"}
    assert found[3].raw == free[3].raw
    assert found[4].raw.strip() == "none" or found[4].answer.spans


def naive(backbone, request, most):
    """The likeliest allowed token by the whole mask, the whole sequence anew for every token."""
    constraint, written = request.constraint(), []
    table = backbone.model.get_input_embeddings()
    embed = lambda ids: table(torch.tensor(ids, dtype=torch.long))  # noqa: E731
    first, _ = request.placement.split(len(request.vectors))
    vectors = request.vectors.to(table.weight.dtype)
    while len(written) < most:
        parts = [vectors[:first], embed([backbone.bos, *request.row.context]), vectors[first:]]
        parts.append(embed([*request.row.cue, *written]))
        with torch.no_grad():
            logits = backbone.model(inputs_embeds=torch.cat(parts)[None], use_cache=False).logits[0, -1]
        may = allowed_tokens([constraint], len(logits))[0]
        token = int(logits.masked_fill(~may, -torch.inf).argmax())
        if token in backbone.stops:
            return backbone.text(written)
        written.append(token)
        constraint.advance(token)
    return backbone.text(written[: constraint.complete])


def test_greedy_is_naive_constrained_decoding_whatever_the_neighbours(backbone, questions):
    asking = predictor(backbone)
    chosen = [question for question in questions if question.task.codec != "free_text"]
    requests = [asking.request(question) for question in chosen]
    expected = [naive(backbone, request, 24) for request in requests]
    assert len(set(expected)) >= 3
    for rows in (1, 2, 64):
        found = LocalEngine(backbone, rows=rows, tokens=64).answers(requests, Generation(24))
        assert [one.text for one in found] == expected
    padded = in_another_way(backbone, packed=False)
    assert [one.text for one in LocalEngine(padded).answers(requests, Generation(24))] == expected


@pytest.mark.parametrize("beams", [2, 4])
def test_beams_within_a_form_are_those_of_transformers(backbone, questions, beams):
    texts = (" yes", " no", " yes and no", " no answer", " 5")
    grammars = Grammars(backbone)
    asking = predictor(backbone)
    row = asking.request(questions[0]).row
    spelled = [list(backbone.with_answer(row, text).answer) for text in texts]

    def possible(batch, written):
        written = written.tolist()
        following = {one[len(written)] for one in spelled if len(one) > len(written) and one[: len(written)] == written}
        return sorted(following) or [backbone.eos]

    within = lambda: grammars.constraint(OneOf(texts), "")  # noqa: E731
    requests = [replace(asking.request(one), constraint=within) for one in questions[:4]]
    found = LocalEngine(backbone).answers(requests, Generation(16, beams=beams, length_penalty=0.0))
    for request, answer in zip(requests, found, strict=True):
        table = backbone.model.get_input_embeddings()
        embed = lambda ids: table(torch.tensor(ids, dtype=torch.long))  # noqa: B023, E731
        first, _ = request.placement.split(len(request.vectors))
        vectors = request.vectors.to(table.weight.dtype)
        context, cue = embed([backbone.bos, *request.row.context]), embed(request.row.cue)
        with torch.no_grad():
            [line] = backbone.model.generate(
                inputs_embeds=torch.cat([vectors[:first], context, vectors[first:], cue])[None],
                max_new_tokens=16, num_beams=beams, length_penalty=0.0, early_stopping=False, do_sample=False,
                pad_token_id=backbone.pad, eos_token_id=sorted(backbone.stops), prefix_allowed_tokens_fn=possible,
            ).tolist()  # fmt: skip
        assert answer.text in texts and answer.constrained and not answer.truncated
        assert answer.text == backbone.text([token for token in line if token not in (*backbone.stops, backbone.pad)])


def test_an_answer_that_the_limit_cuts_is_whole(backbone, questions):
    whole = predictor(backbone, generation=Generation(40)).predict(questions[:1])[0].raw
    for tokens in range(2, 30, 5):
        [found] = predictor(backbone, generation=Generation(tokens)).predict(questions[:1])
        assert whole.startswith(found.raw)
        assert found.report.unlocated == found.report.unreadable == 0 or not found.raw


def test_a_mask_is_only_needed_where_the_likeliest_token_is_forbidden(backbone):
    grammars = Grammars(backbone)
    two = [grammars.constraint(OneOf(("a", "b")), "") for _ in range(2)]
    a, b, c = (grammars.tokenizer.tokenize_str(letter)[0] for letter in "abc")
    logits = torch.zeros(3, backbone.vocabulary)
    logits[0, a], logits[1, c], logits[1, b], logits[2, c] = 2.0, 3.0, 1.0, 1.0
    with patch("clinprompt.inference.constraint.allowed_tokens", wraps=allowed_tokens) as looked:
        assert likeliest(logits, [*two, None]) == [a, b, c]
    assert looked.call_args.args[0] == [two[1]]


def test_the_characters_of_a_special_token_are_written_as_characters():
    """Where they are the only way to go on, the library names the special token, which stands for something else."""
    grammars = Grammars(load_backbone("embedded", device="cpu"))
    task, special = load_task("medications"), grammars.tokenizer.is_special_token
    constraint = grammars.constraint(answer_form(example("a", "chest painaa,<ans>\x1c<ans>\u2028"), task), " ")
    bits, left = torch.zeros(2048 // 32, dtype=torch.int32), f" {task.words('drug')}: chest\\ painaa,<ans>".encode()
    while left:
        constraint.fill(bits)
        allowed = [token for token in range(2048) if bits[token // 32] >> token % 32 & 1]
        texts = {token: grammars.tokenizer.decode_bytes([token]) for token in allowed if not special(token)}
        token = max((t for t in texts if left.startswith(texts[t])), key=lambda t: len(texts[t]))
        constraint.advance(token)
        assert constraint.held
        left = left.removeprefix(texts[token])


def test_a_tokenizer_that_cannot_be_constrained_is_answered_freely_and_told(backbone, questions):
    with patch("llguidance.hf.from_tokenizer", side_effect=ValueError("slow")):
        with pytest.raises(Unconstrainable, match="without constraints"):
            Grammars(backbone)
        other = in_another_way(backbone, packed=True)
        assert isinstance(grammars_of(other), Unconstrainable)
    with patch.object(backbone, "text", lambda ids: "?"), pytest.raises(Unconstrainable, match="bytes"):
        Grammars(backbone)


def test_a_grammar_beyond_the_limits_leaves_the_answer_free_but_checked(backbone, questions):
    asking = predictor(backbone)
    with patch.object(asking.grammars, "compile", return_value=None):
        [found] = asking.predict(questions[:1])
    assert dict(found.provenance)["grounding"] == "checked"
    assert [found] == predictor(backbone, grounded=False).predict(questions[:1])
