from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clinprompt.data.readers import READERS
from clinprompt.inference.predictor import Question
from clinprompt.inference.reading import ReadingPredictor
from clinprompt.schema.example import Example
from clinprompt.tasks.catalog import load_task
from clinprompt.tasks.formulations.reading import unaskable
from tests.annotated import ENTITIES, RELATIONS, entity_examples, relation_examples, relation_keys, span_keys
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
    assert unaskable(one, ENTITIES) == 0
    assert span_keys(found.answer) == span_keys(one.answer)
    assert len(found.answer.spans) == len(span_keys(one.answer)) == found.report.items


@given(one=relation_examples().map(continuous), wording=WORDINGS, gold=st.booleans())
@settings(max_examples=60, deadline=None)
def test_relations_are_gold_end_to_end_and_with_annotated_heads(one, wording, gold):
    found = predicted(one, RELATIONS, wording=wording, gold=gold)
    assert unaskable(one, RELATIONS) == 0
    assert relation_keys(found.answer) == relation_keys(one.answer)
    assert (", gold heads" in found.provenance["decoding"]) is gold
    assert found.report.unreadable == found.report.truncated == 0


@pytest.mark.parametrize("name", ["medications", "problem-statements", "dose-of-drug", "reason-of-drug"])
def test_windows_give_the_gold_answers_of_synthetic_notes(name):
    task = load_task(name) if name != "problem-statements" else load_task("condition-assertions")
    assert task.data is not None
    read = READERS[task.data.reader]
    notes = list(read(None, n=4, seed=5, **task.data.options))[:4]
    assert notes
