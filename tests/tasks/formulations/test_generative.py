from __future__ import annotations

from hypothesis import given

from clinprompt.schema.example import Answer
from clinprompt.tasks.formulations.generative import formulate, read_back
from clinprompt.tasks.task import Task
from clinprompt.tasks.template import TEMPLATES

from ...annotated import ENTITIES, entity_examples, example, span_keys

TEXT = Task(name="s", kind="summarisation", codec="free_text", instruction="Sum up.", metrics=("rouge-l",))


@given(entity_examples())
def test_the_answer_of_a_row_reads_back_as_gold(gold):
    pair = formulate(gold, ENTITIES, TEMPLATES["markers"])
    assert span_keys(read_back(pair.answer, gold, ENTITIES).answer) == span_keys(gold.answer)
    assert any(piece.text.endswith(gold.note) and not piece.trusted for piece in pair.context)


def test_the_answer_begins_with_one_blank_which_is_taken_off_again():
    gold = example("n", Answer(text=" two blanks"))
    pair = formulate(gold, TEXT, TEMPLATES["plain"])
    assert pair.answer == "  two blanks"
    assert read_back(pair.answer, gold, TEXT).answer.text == " two blanks"


def test_an_example_without_gold_can_be_asked():
    assert formulate(example("n", Answer()), TEXT, TEMPLATES["plain"], with_answer=False).answer == ""
