from __future__ import annotations

import pytest

from clinprompt.errors import InputError
from clinprompt.schema.example import Answer
from clinprompt.tasks.codecs.choices import CHOICES as CODEC
from clinprompt.tasks.task import Task

from ...annotated import example

TASK = Task(name="qa", kind="question-answering", codec="choices", instruction="Pick.", metrics=("accuracy",))
EXAMPLE = example("n", Answer(label="B"), choices=(("A", "aspirin"), ("B", "beta blocker"), ("C", "aspirin")))


@pytest.mark.parametrize("said", ["B", " b", "B.", "(B)", "B: beta blocker", "b) because", "Beta  blocker."])
def test_ways_to_name_an_option(said):
    assert CODEC.decode(said, EXAMPLE, TASK).answer.label == "B"


@pytest.mark.parametrize("said", ["", "D", "aspirin", "A or B", "()", "the beta blocker"])
def test_none_or_several_options_are_no_answer(said):
    prediction = CODEC.decode(said, EXAMPLE, TASK)
    assert (prediction.answer.label, prediction.report.unreadable) == (None, 1)


def test_a_gold_key_without_option_is_refused():
    with pytest.raises(InputError, match="A, B, C"):
        CODEC.encode(example("n", Answer(label="E"), choices=EXAMPLE.choices), TASK)
