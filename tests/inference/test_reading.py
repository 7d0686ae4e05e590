from __future__ import annotations

import json
from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from clinprompt.backbones.encoder_loading import load_encoder
from clinprompt.backbones.heads import new_heads
from clinprompt.backbones.protocol import Placement, TokenSpan
from clinprompt.backbones.tiny_encoders import write_tiny_encoder
from clinprompt.data.projection import Tally
from clinprompt.data.readers import READERS
from clinprompt.errors import InputError
from clinprompt.inference.coverage import across
from clinprompt.inference.long_notes import LongNotes
from clinprompt.inference.predictor import Question
from clinprompt.inference.reading import ReadingPredictor
from clinprompt.schema.document import Relation, Span
from clinprompt.schema.example import Answer, Example
from clinprompt.stages.prepare import project_items
from clinprompt.tasks.catalog import load_task, task_from
from clinprompt.tasks.formulations.unaskable import unaskable
from tests.annotated import ENTITIES, RELATIONS, entity_examples, example, relation_examples, relation_keys, span_keys
from tests.made_readers import HEADS, MadeReader, knowing

WORDINGS = st.sampled_from(["label", "words"])


def asked(one, task, **more):
    return Question(one, task, heads=HEADS, **more)


def predicted(one, task, *, wording="label", gold=False, **more):
    backbone = MadeReader(knowing({one.id: one}, task, wording=wording), **more)
    return ReadingPredictor(backbone, gold_heads=gold).predict([asked(one, task, wording=wording)])[0]


def continuous(one: Example) -> Example:
    """The example without what cannot be asked: fragments made one stretch, no mention related to itself."""
    spans = tuple(replace(span, fragments=((span.start, span.end),)) for span in one.answer.spans)
    keys = {span.id: span.key for span in spans}
    kept = tuple(link for link in one.answer.relations if keys[link.head] != keys[link.tail])
    return replace(one, answer=replace(one.answer, spans=spans, relations=kept))


@given(one=entity_examples().map(continuous), wording=WORDINGS)
@settings(max_examples=60, deadline=None)
def test_of_a_backbone_that_knows_the_gold_places_the_answer_is_gold(one, wording):
    found = predicted(one, ENTITIES, wording=wording, tokens_at_once=100)
    assert unaskable(one, ENTITIES).total == 0
    assert span_keys(found.answer) == span_keys(one.answer)
    assert len(found.answer.spans) == len(span_keys(one.answer)) == found.report.items


@given(one=relation_examples().map(continuous), wording=WORDINGS, gold=st.booleans())
@settings(max_examples=60, deadline=None)
def test_relations_are_gold_end_to_end_and_with_annotated_heads(one, wording, gold):
    found = predicted(one, RELATIONS, wording=wording, gold=gold)
    assert unaskable(one, RELATIONS).total == 0
    assert relation_keys(found.answer) == relation_keys(one.answer)
    assert (", gold heads" in found.provenance["decoding"]) is gold
    assert found.report.unreadable == found.report.truncated == 0


def notes_of(task):
    records = READERS["synthetic"](None, **{**task.data.options, "n": 6, "seed": 77})
    unlimited = task.model_copy(update={"data": task.data.model_copy(update={"window": None})})
    return list(project_items(unlimited, records, tally=Tally(), strict=False))


@pytest.mark.parametrize("name", ["medications", "condition-assertions", "dose-of-drug", "located-findings"])
def test_windows_give_the_gold_answers_of_synthetic_notes(name):
    task = load_task(name)
    examples = notes_of(task)
    says = knowing({one.id: one for one in examples}, task, wording="words")
    for gold in (False, True):
        notes = LongNotes(ReadingPredictor(MadeReader(says, max_tokens=420), gold_heads=gold))
        plans = [notes.plan(asked(one, task, wording="words"), longest=300, overlap=120) for one in examples]
        assert any(len(plan.places) > 1 for plan in plans)
        for plan, one, found in zip(plans, examples, notes.answers(plans), strict=True):
            assert across(one.answer, plan.places) == (0, 0)
            assert span_keys(found.answer) == {key for key in span_keys(one.answer) if len(key[1]) == 1}
            assert len(span_keys(one.answer) - span_keys(found.answer)) == unaskable(one, task).total
            assert relation_keys(found.answer) == relation_keys(one.answer)
            assert {span.key: dict(span.attributes) for span in found.answer.spans if span.attributes} == {
                span.key: {name: span.attributes.get(name, schema.usual) for name, schema in task.attributes.items()}
                for span in one.answer.spans
                if task.attributes
            }
            assert found.report.truncated == 0 and found.provenance["grounding"] == "constrained"


DRUGS = task_from(
    {"name": "drugs", "kind": "relations", "codec": "relations", "instruction": "link.", "metrics": ["relation-f1"],
     "labels": ["Drug", "Dose", "Route", "Reason"],
     "relations": {"dose of": {"head": ["Dose"], "tail": ["Drug"]}, "route of": {"head": ["Route"], "tail": ["Drug"]},
                   "cause": {"head": ["Drug", "Reason"], "tail": ["Drug"]}}}, where="test",
)  # fmt: skip
NOTE = "aspirin and warfarin 5 mg po for pain"
A, W, DOSE, PAIN = (0, 7), (12, 20), (21, 25), (33, 37)


def saying(answers, **more):
    """A backbone that says these places to questions ``(label, head)``, with the score 2."""
    return MadeReader(lambda name, one: [(place, 2.0) for place in answers.get((one.label, one.head), ())], **more)


def test_a_tail_of_two_heads_has_a_relation_with_each_and_equal_answers_are_one():
    answers = {("Drug", None): [A, W, W], ("dose of", A): [DOSE], ("dose of", W): [DOSE, DOSE, (21, 23)]}
    [found] = ReadingPredictor(saying(answers)).predict([asked(example(NOTE, Answer()), DRUGS)])
    dose = ("Dose", (DOSE,))
    assert relation_keys(found.answer) == {
        ("dose of", dose, ("Drug", (A,))),
        ("dose of", dose, ("Drug", (W,))),
        ("dose of", ("Dose", ((21, 23),)), ("Drug", (W,))),
    }
    assert len({span.id for span in found.answer.spans}) == len(found.answer.spans) == 4


def test_only_questions_that_the_schema_allows_are_asked_and_no_mention_is_related_to_itself():
    answers = {("Drug", None): [A], ("cause", A): [A, PAIN]}
    backbone = saying(answers)
    [found] = ReadingPredictor(backbone).predict([asked(example(NOTE, Answer()), DRUGS)])
    second = [(row.question.label, row.question.head) for rows in backbone.runs[1:] for row in rows]
    assert sorted(second) == [("cause", A), ("cause", A), ("dose of", A), ("route of", A)]
    assert relation_keys(found.answer) == {
        ("cause", ("Reason", (place,)), ("Drug", (A,))) for place in (A, PAIN)
    } | {("cause", ("Drug", (PAIN,)), ("Drug", (A,)))}  # fmt: skip
    assert found.report.unreadable == 1 and found.report.items == 5


def test_nested_and_overlapping_spans_stay_as_the_backbone_gives_them():
    places = [(0, 20), (0, 7), (4, 16)]
    [found] = ReadingPredictor(saying({("Drug", None): places})).predict([asked(example(NOTE, Answer()), PLAIN)])
    assert span_keys(found.answer) == {("Drug", (place,)) for place in places}
    assert [item["score"] for item in json.loads(found.raw)] == [2.0] * 3


PLAIN = task_from(
    {"name": "plain", "kind": "entities", "codec": "entities", "instruction": "list.", "metrics": ["span-f1"],
     "labels": ["Drug"]}, where="test",
)  # fmt: skip


def test_an_answer_that_begins_at_a_mark_is_dropped_and_counted():
    backbone = saying({("Drug", None): [A]})
    read = backbone.read
    backbone.read = lambda rows, prompts, flat: [
        [*spans, *([TokenSpan(0, 2, 9.0)] if row.question.head else [])]
        for row, spans in zip(rows, read(rows, prompts), strict=True)
    ]
    [found] = ReadingPredictor(backbone).predict([asked(example(NOTE, Answer()), DRUGS)])
    assert not found.answer.relations and found.report.unreadable == 4 == found.report.items - 1


def test_gold_heads_are_asked_about_and_heads_are_not_looked_for():
    spans = (Span("Drug", (W,), "t1"), Span("Dose", (DOSE,), "t2"))
    one = example(NOTE, Answer(spans=spans, relations=(Relation("dose of", "t2", "t1"),)))
    backbone = saying({("Drug", None): [A], ("dose of", W): [DOSE]})
    [found] = ReadingPredictor(backbone, gold_heads=True).predict([asked(one, DRUGS)])
    assert {row.question.head for rows in backbone.runs for row in rows} == {W}
    assert relation_keys(found.answer) == relation_keys(one.answer)
    [free] = ReadingPredictor(backbone).predict([asked(one, DRUGS)])
    assert not free.answer.relations


def test_answers_do_not_depend_on_their_neighbours():
    other = {"edges": torch.ones(2, 4), "edge_bias": torch.full((2,), 3.0)}
    wide = {"edges": torch.ones(2, 4), "edge_bias": torch.ones(2), "match_out": torch.ones(5)}
    notes = [example(NOTE[: 20 + 5 * i], Answer()) for i in range(3)]
    mixed = [
        Question(one, task, vectors, placement, name, heads=heads, wording=wording)
        for one in notes
        for task in (PLAIN, DRUGS)
        for vectors, placement, name, heads, wording in (
            (None, Placement.prefix, "none", HEADS, "label"),
            (torch.ones(2, 4), Placement.prefix, "two", HEADS, "words"),
            (torch.full((5, 4), 0.5), Placement.prefix, "five", other, "label"),
            (torch.ones(3, 2, 4), Placement.prefix, "layers", wide, "label"),
            (torch.ones(1, 4), Placement.suffix, "behind", HEADS, "label"),
        )
    ]
    answers = {("Drug", None): [A, W], ("dose of", A): [(8, 11)], ("dose of", W): [A]}
    seen = []
    together = saying(answers, tokens_at_once=300)
    found = ReadingPredictor(together).predict(mixed, watch=seen.append)
    assert sum(seen) == len(mixed) and len(seen) > 3
    assert found == [ReadingPredictor(saying(answers)).predict([one])[0] for one in mixed]
    scores = {name: json.loads(one.raw)[0]["score"] for one in found if (name := one.provenance["prompt"])}
    assert scores == {"none": 2.0, "two": 10.0, "five": 18.0, "layers": 28.0, "behind": 6.0}
    assert max(len(set(prompts.owner)) for prompts in together.prompts) > 1
    for rows, prompts in zip(together.runs, together.prompts, strict=True):
        widths = [row.length + prompts.length(owner) for row, owner in zip(rows, prompts.owner, strict=True)]
        assert len(rows) == 1 or max(widths) * len(rows) <= 300


QUOTED = task_from(
    {"name": "quoted", "kind": "question-answering", "codec": "quote", "instruction": "quote.",
     "metrics": ["token-f1"]}, where="test",
)  # fmt: skip


def test_the_surest_place_answers_an_extractive_question_also_over_windows():
    text = "Nothing. " * 40 + "He took 5 mg. " + "Nothing. " * 30 + "She took 80 mg."

    def says(name, question):
        return [((at, at + len(words)), score) for words, score in (("5 mg", 1.0), ("80 mg", 4.0), ("took", -3.0))
                if (at := question.context.find(words)) >= 0]  # fmt: skip

    def answer(note, says):
        one = Example("q", {"note": note, "question": "how much?"}, Answer(), "g")
        notes = LongNotes(ReadingPredictor(MadeReader(says, max_tokens=200)))
        return notes.answers([notes.plan(asked(one, QUOTED))])[0]

    found = answer(text, says)
    assert found.answer.text == "80 mg" and "surest answer" in found.provenance["long_notes"]
    assert [text[span.start : span.end] for span in found.answer.spans] == ["80 mg"]
    assert answer(text, lambda name, question: []).answer == Answer(text="unanswerable")
    assert answer("took it", says).answer.text == "took"


def test_what_cannot_be_answered_is_refused():
    predictor = ReadingPredictor(saying({}))
    with pytest.raises(InputError, match="has no scorers"):
        predictor.predict([Question(example(NOTE, Answer()), PLAIN)])
    with pytest.raises(InputError, match="cannot be put as reading comprehension"):
        predictor.predict([asked(example(NOTE, Answer()), load_task("lab-flag"))])
    assert predictor.likeliest([asked(example(NOTE, Answer()), PLAIN)]) == [None]


def test_a_question_about_a_head_that_has_no_room_is_left_unasked_and_counted():
    backbone = saying({("Drug", None): [A, W], ("dose of", A): [DOSE], ("dose of", W): [DOSE]}, max_tokens=64)
    one = example(NOTE, Answer())
    [found] = ReadingPredictor(backbone).predict([asked(one, DRUGS)])
    assert found.report.truncated == 1
    assert relation_keys(found.answer) == {("dose of", ("Dose", (DOSE,)), ("Drug", (place,))) for place in (A, W)}
    assert not ReadingPredictor(backbone).fits(asked(one, DRUGS))
    assert ReadingPredictor(saying({}, max_tokens=200)).fits(asked(one, DRUGS))
    assert not ReadingPredictor(saying({}, max_tokens=64)).fits(asked(one, PLAIN, vectors=torch.ones(25, 4)))
    assert ReadingPredictor(saying({}, max_tokens=64)).fits(asked(one, PLAIN))


@pytest.mark.parametrize("family", ["bert", "roberta"])
def test_of_a_real_encoder_a_mixed_batch_says_what_each_question_says_alone(tmp_path, family):
    torch.manual_seed(3)
    backbone = load_encoder(write_tiny_encoder(tmp_path / family, family=family))
    heads = [{name: tensor[0] * 8 for name, tensor in new_heads(1, backbone.hidden_size, 8, seed).items()}
             | {"edge_bias": torch.zeros(2)} for seed in (1, 2)]  # fmt: skip
    prompts = [None, torch.randn(2, backbone.hidden_size), torch.randn(backbone.n_layers, 3, backbone.hidden_size)]
    mixed = [
        Question(example(NOTE[:cut], Answer()), task, prompts[i % 3], Placement.prefix, f"{i}", heads[i % 2], "words")
        for i, (cut, task) in enumerate((cut, task) for cut in (16, 37, 26) for task in (PLAIN, DRUGS))
    ]
    predictor = ReadingPredictor(backbone)
    together, alone = predictor.predict(mixed), [predictor.predict([one])[0] for one in mixed]
    assert sum(len(one.answer.spans) for one in together) > 3
    for one, other in zip(together, alone, strict=True):
        assert span_keys(one.answer) == span_keys(other.answer)
        assert relation_keys(one.answer) == relation_keys(other.answer)
        scores = [[item["score"] for item in json.loads(found.raw)] for found in (one, other)]
        assert scores[0] == pytest.approx(scores[1], abs=1e-3)


def test_of_too_many_heads_the_surest_are_asked_about_and_the_rest_is_counted(monkeypatch):
    monkeypatch.setattr("clinprompt.inference.reading.MOST_HEADS", 1)
    said = {"Drug": [(A, 1.0), (W, 2.0)], "dose of": [(DOSE, 1.0)]}
    backbone = MadeReader(lambda name, question: said.get(question.label, []))
    [found] = ReadingPredictor(backbone).predict([asked(example(NOTE, Answer()), DRUGS)])
    assert relation_keys(found.answer) == {("dose of", ("Dose", (DOSE,)), ("Drug", (W,)))}
    assert found.report.truncated == 1
