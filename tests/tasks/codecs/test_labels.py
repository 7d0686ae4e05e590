from __future__ import annotations

import pytest

from clinprompt.errors import InputError
from clinprompt.schema.example import Answer
from clinprompt.tasks.codecs.labels import LABELS as CODEC
from clinprompt.tasks.task import Task

from ...annotated import example

TASK = Task(
    name="nli",
    kind="inference",
    codec="labels",
    instruction="Does it follow?",
    labels=("entailment", "not_entailment", "no"),
    verbalizer={"entailment": "it follows", "not_entailment": "it does not"},
    metrics=("accuracy",),
)


@pytest.mark.parametrize("said", ["it follows", " It  follows.", "IT FOLLOWS\n"])
def test_words_are_read_forgivingly(said):
    assert CODEC.decode(said, example("n", Answer()), TASK).answer.label == "entailment"


@pytest.mark.parametrize("said", ["", "follows", "entailment", "it follows that", "nope"])
def test_other_words_are_no_answer(said):
    prediction = CODEC.decode(said, example("n", Answer()), TASK)
    assert prediction.answer.label is None
    assert prediction.report.unreadable == 1


def test_words_that_differ_only_in_case_need_exactness():
    task = TASK.model_copy(update={"labels": ("A", "a"), "verbalizer": {}})
    read = lambda said: CODEC.decode(said, example("n", Answer()), task).answer.label  # noqa: E731
    assert (read("A"), read(" a "), read("a.")) == ("A", "a", None)


def test_an_unknown_gold_class_is_refused():
    with pytest.raises(InputError, match="x1"):
        CODEC.encode(example("n", Answer(label="maybe")), TASK)
