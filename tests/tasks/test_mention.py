from __future__ import annotations

from hypothesis import given

from clinprompt.schema.document import Span
from clinprompt.schema.example import Answer
from clinprompt.tasks.codecs import CODECS
from clinprompt.tasks.mention import mention_words

from ..annotated import ENTITIES, entity_examples, example, span_keys


def test_a_mention_that_stands_twice_says_which():
    note = "No fever, then fever."
    spans = [Span("Dose", ((start, start + 5),)) for start in (3, 15)]
    assert [mention_words(note, span, ENTITIES) for span in spans] == [
        "strength of drug: fever",
        "strength of drug: fever #2",
    ]


@given(gold=entity_examples())
def test_the_words_lead_to_the_mention_and_to_no_other(gold):
    for span in gold.answer.spans:
        words = mention_words(gold.note, span, ENTITIES)
        found = CODECS["entities"].decode(words, example(gold.note, Answer()), ENTITIES)
        assert span_keys(found.answer) == {span.key} and found.report.unlocated == found.report.unreadable == 0
