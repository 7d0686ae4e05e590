"""What an opened encoder makes of examples: rows, fewer impossible ones, and counts of what cannot be asked."""

from __future__ import annotations

import math
import re
from functools import partial

import pytest
import torch
from hypothesis import given

from clinprompt.backbones.protocol import Placement, PromptVectors
from clinprompt.backbones.tiny_encoders import write_tiny_encoder
from clinprompt.errors import InputError
from clinprompt.maths.thresholds import best_threshold
from clinprompt.prompts.prompt_file import load_prompt
from clinprompt.schema.document import Span
from clinprompt.schema.example import Answer, Example, Split
from clinprompt.stages import opened_encoder
from clinprompt.stages.adapt import adapt
from clinprompt.stages.adapted import read_adapted
from clinprompt.stages.cells import Cell, candidates
from clinprompt.stages.configs import AdaptSettings, BackboneSettings, DecodingSettings, PromptSettings
from clinprompt.stages.methods import Budget, FineTuning, PromptTuning
from clinprompt.stages.opened import open_backbone
from clinprompt.stages.prepared import write_prepared
from clinprompt.tasks.formulations.unaskable import Unaskable
from tests.annotated import ENTITIES, entity_examples, example
from tests.made_backbones import tiny_folder


@pytest.fixture(scope="module", params=["bert", "roberta"])
def folder(request, tmp_path_factory):
    return write_tiny_encoder(tmp_path_factory.mktemp("encoder") / request.param, family=request.param)


@pytest.fixture(scope="module")
def opened(folder):
    return open_backbone(BackboneSettings(path=str(folder)))


def cell(count=6):
    """Of five questions about each example one has an answer, in every third example none."""
    examples = [
        Example(
            id=f"e{n}", inputs={"note": "took aspirin daily"}, group=f"g{n}",
            answer=Answer(spans=(Span("Drug", ((5, 12),), id="1"),) if n % 3 else ()),
        )
        for n in range(count)
    ]  # fmt: skip
    return Cell("drugs/full", ENTITIES, examples, examples[:3], 1)


def members(opened, one, **budget):
    return candidates(opened, [one], Budget(keep="best", **budget), reserve=0, rates=lambda i, rate: {})


@pytest.mark.parametrize("given", [
    {"kind": "beams"}, {"kind": "choices"}, {"grounded": False}, {"beams": 2}, {"stop": ("e",)},
    {"length_penalty": 0.5},
])  # fmt: skip
def test_settings_of_written_answers_are_refused(opened, given):
    with pytest.raises(InputError, match=f"decoding.{next(iter(given))}: for decoders"):
        opened.check_decoding(DecodingSettings(**given))
    with pytest.raises(InputError, match="answer_tokens: for decoders"):
        opened.check_decoding(DecodingSettings(), tokens=True)
    opened.check_decoding(DecodingSettings(flat=True, gold_heads=True))


def test_impossible_questions_are_drawn_by_seed_and_dev_rows_stay_whole(opened):
    one = cell()
    [whole] = members(opened, one)
    possible = [row for row in whole.rows if row.gold]
    assert len(whole.rows) == 30 and len(possible) == 4
    for most, expected in ((0, 0), (1, 4), (1.5, 6), (100, 26)):
        [less] = members(opened, one, impossible=most)
        [again] = members(opened, one, impossible=most)
        assert less.rows == again.rows and less.dev == whole.dev and len(less.dev) == 15
        assert [row for row in less.rows if row.gold] == possible
        assert sum(not row.gold for row in less.rows) == expected
        places = [next(n for n, row in enumerate(whole.rows) if row is kept or row == kept) for kept in less.rows]
        assert places == sorted(places)


def test_another_seed_draws_others_and_every_rate_the_same(opened):
    first, second = members(opened, cell(), impossible=1, rates=(0.1, 0.2))
    assert first.rows == second.rows
    other = Cell("drugs/full", ENTITIES, cell().train, cell().dev, 2)
    assert members(opened, other, impossible=1)[0].rows != first.rows


def test_where_no_question_has_an_answer_all_stay(opened):
    nothing = Cell("drugs/full", ENTITIES, cell(1).train, cell(1).dev, 1)
    assert len(members(opened, nothing, impossible=1)[0].rows) == 5


@pytest.mark.parametrize(
    "settings",
    [
        {"prompt": PromptSettings(placement="apart"), "method": PromptTuning()},
        {"method": PromptTuning(placement="apart")},
    ],
)
def test_a_text_read_apart_is_refused_for_a_decoder(settings, tmp_path, data):
    with pytest.raises(InputError, match=r"no text is read apart.*prefix, suffix, both.*read once for all tasks"):
        adapt(AdaptSettings(targets=(data / "meds",), **settings), runs=tmp_path)
    assert not list(tmp_path.rglob("*.safetensors"))


def test_impossible_questions_are_refused_for_a_decoder(tmp_path):
    decoder = open_backbone(BackboneSettings(path=str(tiny_folder(tmp_path / "tiny"))))
    with pytest.raises(InputError, match="only questions to an encoder can be impossible"):
        members(decoder, cell(), impossible=1)
    assert decoder.unaskable(cell().train, ENTITIES) is None


@given(one=entity_examples())
def test_borders_are_those_at_which_rows_lose_answers(opened, one):
    counted = opened.unaskable([one, one], ENTITIES)
    lost = sum(row.lost for row in opened.rows([one], ENTITIES, reserve=0))
    assert counted.borders == 2 * lost and counted.answers == 2 * len({span.key for span in one.answer.spans})


def test_a_span_inside_a_word_and_one_in_parts_cannot_be_asked(opened):
    places = (((5, 12),), ((6, 12),), ((0, 4), (13, 18)))
    spans = tuple(Span("Drug", place, id=f"{n}") for n, place in enumerate(places))
    found = opened.unaskable([example("took aspirin daily", Answer(spans=spans))], ENTITIES)
    assert found == Unaskable(answers=3, parts=1, borders=1)


def _prompts(heads, rows):
    own = {name: value[None] for name, value in heads.items()}
    return PromptVectors(torch.zeros(1, 0, 32), Placement.prefix, owner=(0,) * len(rows), heads=own)


def _found(opened, heads, rows):
    return [{(span.first, span.last) for span in spans} for spans in opened.backbone.read(rows, _prompts(heads, rows))]


def _heads(opened, seed):
    """Scorers whose logits spread, all below one half."""
    heads = {name: value[0] for name, value in opened.heads([seed]).items()}
    heads["match_out_bias"] = heads["match_out_bias"] + 0.02
    return heads | {"edges": heads["edges"] * 20, "edge_bias": torch.tensor([-9.0, -8.0])}


@pytest.fixture
def any_border(monkeypatch):
    """Scorers that have learned nothing are rarely right; else they would be left alone."""
    monkeypatch.setattr(opened_encoder, "best_threshold", partial(best_threshold, least=0.0))


@pytest.mark.parametrize("seed", range(3))
def test_scores_of_pairs_say_what_is_answered_at_every_border(opened, seed):
    rows, heads = opened.rows(cell().dev, ENTITIES, reserve=0), _heads(opened, seed)
    scores, right = opened.backbone.pair_scores(rows, _prompts(heads, rows))
    assert len(scores) and not right.all()
    between = scores.unique().quantile(torch.tensor([0.1, 0.5, 0.9])) + 1e-3  # on no score, whose last digit may differ
    for border in (*between.tolist(), 50.0):
        moved = heads | {"edge_bias": heads["edge_bias"] - border}
        # Of pairs at one place only the best is answered; these texts have a token for each place.
        found = _found(opened, moved, rows)
        assert sum(map(len, found)) == (scores > border).sum()
        hits = sum(len(pairs & set(row.gold)) for pairs, row in zip(found, rows, strict=True))
        assert hits == right[scores > border].sum()


@pytest.mark.parametrize("seed", range(3))
def test_the_settled_border_is_the_best_of_all_and_moves_nothing_else(opened, seed, any_border):
    rows, heads = opened.rows(cell().dev, ENTITIES, reserve=0), _heads(opened, seed)
    answers = sum(len(row.gold) for row in rows)

    def f1(scorers):
        found = _found(opened, scorers, rows)
        hits = sum(len(pairs & set(row.gold)) for pairs, row in zip(found, rows, strict=True))
        return 2 * hits / (sum(map(len, found)) + answers)

    settled = opened.settled(torch.zeros(0, 32), heads, rows, placement="prefix")
    scores, _ = opened.backbone.pair_scores(rows, _prompts(heads, rows))
    tried = [f1(heads | {"edge_bias": heads["edge_bias"] - border}) for border in (scores - 1e-4).tolist()]
    assert f1(settled) == pytest.approx(max([*tried, f1(heads)]))
    assert all(torch.equal(settled[name], heads[name]) for name in heads if name != "edge_bias")


def _adapted(folder, place, method, examples, **budget):
    """The scorers of a run on these examples, what its cell says of the border, and its log."""
    if not (place / "data").exists():
        write_prepared(place / "data", ENTITIES, examples, reader="made")
    kinds = {"prompt-tuning": PromptTuning, "fine-tuning": FineTuning}
    settings = AdaptSettings(
        backbone=BackboneSettings(path=str(folder)), targets=(place / "data",),
        method=kinds[method](budget=Budget(steps=2, batch=4, **{"rates": (1e-3,), **budget})),
        prompt=PromptSettings(length=2, placement="prefix"),
    )  # fmt: skip
    run = adapt(settings, runs=place / "runs", opened=open_backbone(settings.backbone))
    [file], [found] = run.outputs.rglob("prompt.safetensors"), read_adapted(run.outputs)
    return load_prompt(file).heads, found, (run.path / "log.txt").read_text()


@pytest.mark.parametrize("method", ["prompt-tuning", "fine-tuning"])
@pytest.mark.parametrize(
    "more", [{}, {"keep": "best"}, {"folds": 2, "rates": (1e-3, 1e-2)}], ids=lambda more: str(more)
)
def test_a_trained_prompt_has_the_border_of_its_dev_part_or_one_half(folder, method, more, any_border, tmp_path):
    examples = [(part, one) for part in (Split.train, Split.dev) for one in cell().train]
    half, unmoved, _ = _adapted(folder, tmp_path, method, examples, threshold="half", **more)
    dev, put, log = _adapted(folder, tmp_path, method, examples, **more)
    moved = (half["edge_bias"] - dev["edge_bias"]).tolist()
    assert moved[0] == pytest.approx(moved[1], abs=1e-6) and abs(moved[0]) > 1e-3
    probability = float(re.search(r"a probability of ([\d.e-]+), where the 6 dev examples have the best F1", log)[1])
    assert probability == pytest.approx(1 / (1 + math.exp(-moved[0])), rel=0.05)
    assert put.border in log and not unmoved.border
    assert put.dev_loss == unmoved.dev_loss and (put.dev_loss is None) == ("keep" not in more)


@pytest.mark.parametrize(("parts", "why"), [
    ((), "there is no dev part"), ((Split.dev,), "no other border answers the 6 dev examples better"),
])  # fmt: skip
def test_a_border_that_stays_at_one_half_is_told_with_its_reason(folder, parts, why, tmp_path):
    examples = [(part, one) for part in (Split.train, *parts) for one in cell().train]
    heads, found, log = _adapted(folder, tmp_path, "prompt-tuning", examples)
    half, _, _ = _adapted(folder, tmp_path, "prompt-tuning", examples, threshold="half")
    assert torch.equal(heads["edge_bias"], half["edge_bias"])
    assert found.border.startswith("answers begin at a probability of one half") and why in found.border in log
