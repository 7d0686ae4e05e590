from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given

from clinprompt.errors import InputError
from clinprompt.schema.example import Answer
from clinprompt.tasks.formulations.generative import formulate, read_back, work_through
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


@pytest.mark.parametrize(
    ("template", "said"),
    [
        ("plain", "Note: a\nTask: Sum up.\nAnswer: A\n\nNote: b\nTask: Sum up.\nAnswer: B\n\nNote: c\nTask: Sum up.\nAnswer:"),
        ("markers", "<note> a<task> Sum up.<ans> A<eos><note> b<task> Sum up.<ans> B<eos><note> c<task> Sum up.<ans>"),
    ],
)  # fmt: skip
def test_examples_stand_before_the_note_as_they_are_asked_and_answered(template, said):
    shown = [example("a", Answer(text="A")), example("b", Answer(text="B"))]
    given = [replace(one, inputs={"note": one.note}) for one in shown]
    pair = formulate(example("c", Answer()), TEXT, TEMPLATES[template], with_answer=False, shown=given)
    text = "".join(piece.text for piece in (*pair.shown, *pair.context, *pair.cue))
    assert text.replace("<note>a", "<note> a").replace("<note>b", "<note> b").replace("<note>c", "<note> c") == said
    assert not any(piece.trusted for piece in pair.shown if piece.text.strip() in ("a", "b", "A", "B"))
    alone = work_through(given[1:], TEXT, TEMPLATES[template])
    assert pair.shown[-len(alone) + 1 :] == alone[1:]  # only what stands before the first is another


def test_a_template_of_one_turn_refuses_examples():
    once = replace(TEMPLATES["plain"], again=None)
    shown = [example("a", Answer(text="A"))]
    assert formulate(shown[0], TEXT, once).shown == ()
    with pytest.raises(InputError, match="room for one question and answer"):
        formulate(shown[0], TEXT, once, shown=shown)
