"""Scores of items: mean log-probabilities of just the tokens that write them."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clinprompt.backbones.protocol import RawAnswer
from clinprompt.inference.scores import best_scores, mean_chance, scored, shares, token_ends
from clinprompt.schema.document import Relation, Span
from clinprompt.schema.example import Answer, Example, TaskKind
from clinprompt.schema.prediction import Prediction
from clinprompt.tasks.codecs import CODECS
from clinprompt.tasks.codecs.items import answer_items, item_ranges, plain, units
from clinprompt.tasks.task import RelationSchema, Task

NOTE = "Took aspirin 81 mg; then aspirin 5 mg."
DRUGS = Task(name="drugs", kind=TaskKind.entities, codec="entities", instruction="List.", labels=("drug", "dose"),
             metrics=("span-f1",))  # fmt: skip
LINKS = Task(name="links", kind=TaskKind.relations, codec="relations", instruction="List.", labels=("drug", "dose"),
             relations={"dose of": RelationSchema(head=("dose",), tail=("drug",))}, metrics=("relation-f1",))  # fmt: skip


def by_character(ids):
    return bytes(ids).decode(errors="replace")


def answer(text, chances):
    """An answer of one token per byte; ``chances`` are per character."""
    ids = text.encode()
    per_byte = [chance for character, chance in zip(text, chances, strict=True) for _ in character.encode()]
    return RawAnswer(text, len(ids), False, ids=tuple(ids), chances=tuple(per_byte))


def predicted(task, text, chances):
    example = Example("x", {"note": NOTE}, Answer(), "x")
    return scored(CODECS[task.codec].decode(text.removeprefix(" "), example, task), answer(text, chances), by_character)


def test_each_item_has_the_mean_of_its_own_tokens():
    text = " drug: aspirin; dose: 5 mg; drug: nowhere; dose: 81 mg"
    chances = [-0.5] * len(text)
    start, end = text.index("dose: 5"), text.index("; drug: n")
    chances[start:end] = [-2.0] * (end - start)
    found = predicted(DRUGS, text, chances)
    assert {span.surface(NOTE): round(math.log(found.scores[span.id]), 6) for span in found.answer.spans} == {
        "aspirin": -0.5, "5 mg": -2.0, "81 mg": -0.5,
    }  # fmt: skip
    assert found.score == pytest.approx(math.exp(sum(chances) / len(chances)))


def test_relations_and_their_ends_have_the_score_of_the_item_that_says_them_first():
    text = " dose of: 81 mg > aspirin; dose of: 5 mg > aspirin"
    chances = [-1.0 if at < text.index("; ") else -3.0 for at in range(len(text))]
    found = predicted(LINKS, text, chances)
    assert len(found.answer.relations) == 2 and set(found.scores) == {
        one.id for one in (*found.answer.spans, *found.answer.relations)
    }
    words = {span.id: span.surface(NOTE) for span in found.answer.spans}
    said = {words[one.head]: found.scores[one.id] for one in found.answer.relations}
    assert said["81 mg"] == pytest.approx(math.exp(-1)) and said["5 mg"] == pytest.approx(math.exp(-3))


def test_an_answer_without_items_has_one_score_and_one_without_chances_none():
    task = Task(name="which", kind=TaskKind.question_answering, codec="quote", instruction="?", metrics=("accuracy",))
    found = predicted(task, " 81 mg", [-1.0, -1.0, -2.0, -2.0, -3.0, -3.0])
    assert found.score == pytest.approx(math.exp(-2)) == found.scores[found.answer.spans[0].id]
    bare = Prediction("x", Answer(text="a"))
    assert scored(bare, RawAnswer("a", 1, False), by_character) is bare


@given(st.lists(st.sampled_from(["a", "é", "😀", " ", "日本"]), max_size=8))
def test_tokens_that_are_parts_of_characters_end_where_these_begin(parts):
    text = "".join(parts)
    ends = token_ends(tuple(text.encode()), by_character)
    expected = [len(text.encode()[: at + 1].decode(errors="ignore")) for at in range(len(text.encode()))]
    assert ends == expected


def test_tokens_without_text_count_where_they_stand():
    assert mean_chance([-1.0, -3.0], [2, 2], (0, 2)) == pytest.approx(math.exp(-1))
    assert mean_chance([-1.0, -3.0, -5.0], [2, 2, 4], (2, 4)) == pytest.approx(math.exp(-4))
    assert mean_chance([], [], (0, 2)) == 0.0


@given(st.text(alphabet="ab; \\|#:\n.none", max_size=24))
def test_ranges_are_those_of_the_items(text):
    items, ranges = answer_items(text), item_ranges(text)
    assert len(items) == len(ranges)
    for item, (start, end) in zip(items, ranges, strict=True):
        assert 0 <= start <= end <= len(text)
        read = plain(units(text[start:end]))
        assert read.strip() == plain(item).strip() or len(items) == 1 or "\\" in text


def test_of_several_windows_the_best_score_stays():
    spans = (Span("drug", ((5, 12),), id="e1"),)
    pair = (*spans, Span("dose", ((13, 18),), id="e2"))
    link = (Relation("dose of", "e2", "e1", id="r1"),)
    given_ = [
        Prediction("a", Answer(spans=spans), scores={"e1": 0.2}),
        Prediction("b", Answer(spans=tuple(one.shifted(-5) for one in pair), relations=link),
                   scores={"e1": 0.9, "e2": 0.5, "r1": 0.4}),
    ]  # fmt: skip
    merged = Answer(spans=(Span("drug", ((5, 12),), id="T1"), Span("dose", ((13, 18),), id="T2")),
                    relations=(Relation("dose of", "T2", "T1", id="R1"),))  # fmt: skip
    assert best_scores([(0, 20), (5, 30)], given_, merged) == {"T1": 0.9, "T2": 0.5, "R1": 0.4}


@given(st.lists(st.floats(-800, 0), min_size=1, max_size=6))
def test_shares_add_up_to_one_and_keep_the_order(values):
    found = shares(values)
    assert math.fsum(found) == pytest.approx(1) and found[values.index(max(values))] == max(found)
