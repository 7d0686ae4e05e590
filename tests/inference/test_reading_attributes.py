"""Attributes of the ends of relations, as an encoder reads them."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from clinprompt.inference.reading import ReadingPredictor
from clinprompt.schema.example import Answer
from clinprompt.tasks.codecs.relations import gold_links
from clinprompt.tasks.formulations.reading import second_values
from clinprompt.tasks.formulations.unaskable import unaskable
from tests.annotated import SAID, example, relation_examples
from tests.inference.test_reading import WORDINGS, asked, continuous, predicted
from tests.made_readers import MadeReader


@given(one=relation_examples(SAID).map(continuous), wording=WORDINGS, gold=st.booleans())
@settings(max_examples=60, deadline=None)
def test_attributes_of_the_ends_of_relations_are_asked_for_and_come_back(one, wording, gold):
    found = predicted(one, SAID, wording=wording, gold=gold)
    others = second_values(one, SAID)
    assert gold_links(found.answer, SAID) == gold_links(one.answer, SAID) - others
    assert unaskable(one, SAID).total == unaskable(one, SAID).values == len(others)
    assert found.report.unreadable == found.report.truncated == 0


def test_of_two_values_of_an_end_the_surer_stays():
    sure = {"drug, no; not, now": 1.0, "drug, now": 3.0, "drug, no; not, then=1": 2.0}

    def says(name, one):
        words = one.question.removeprefix("any, ")
        if one.head is None:
            return [((0, 1), sure[words])] if words in sure else []
        return [((2, 3), float(len(words)))] if words.startswith("drug") else []

    labels = SAID.model_copy(update={"verbalizer": {"Drug": "drug"}})
    [found] = ReadingPredictor(MadeReader(says)).predict([asked(example("a b", Answer()), labels)])
    [link] = found.answer.relations
    ends = {span.id: dict(span.attributes) for span in found.answer.spans}
    assert ends[link.head] == {"Sure": "yes", "When": "now"}
    assert ends[link.tail] == {"Sure": "no; not", "When": "then=1"}
