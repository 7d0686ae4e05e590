"""What an opened encoder makes of examples: rows, fewer impossible ones, and counts of what cannot be asked."""

from __future__ import annotations

import pytest
from hypothesis import given

from clinprompt.backbones.tiny_encoders import write_tiny_encoder
from clinprompt.errors import InputError
from clinprompt.schema.document import Span
from clinprompt.schema.example import Answer, Example
from clinprompt.stages.cells import Cell, candidates
from clinprompt.stages.configs import BackboneSettings
from clinprompt.stages.methods import Budget
from clinprompt.stages.opened import open_backbone
from clinprompt.tasks.formulations.unaskable import Unaskable
from tests.annotated import ENTITIES, entity_examples, example
from tests.made_backbones import tiny_folder


@pytest.fixture(scope="module", params=["bert", "roberta"])
def opened(request, tmp_path_factory):
    folder = write_tiny_encoder(tmp_path_factory.mktemp("encoder") / request.param, family=request.param)
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
