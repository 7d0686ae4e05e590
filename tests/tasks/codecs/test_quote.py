from __future__ import annotations

import pytest

from clinprompt.errors import InputError
from clinprompt.schema.example import Answer, Example
from clinprompt.tasks.codecs.quote import QUOTE
from clinprompt.tasks.task import Task

TASK = Task(name="q", kind="question-answering", codec="quote", instruction="Quote.", metrics=("token-f1",))


def asked(note, text=None):
    return Example(id="x1", inputs={"note": note}, answer=Answer(text=text), group="g")


@pytest.mark.parametrize(
    ("said", "text", "place", "counts"),
    [
        ("80 mg", "80\nmg", (8, 13), (0, 0, 0)),
        (" daily. ", "daily.", (20, 26), (0, 0, 0)),
        ("mg", "mg", (11, 13), (0, 0, 1)),
        ("Unanswerable.", "unanswerable", None, (0, 0, 0)),
        ("81 mg", None, None, (0, 1, 0)),
        (" ", None, None, (1, 0, 0)),
    ],
)
def test_only_words_of_the_note_are_answers_and_have_a_place(said, text, place, counts):
    found = QUOTE.decode(said, asked("aspirin 80\nmg, 5 mg daily."), TASK)
    assert found.answer.text == text
    assert [(span.label, span.fragments) for span in found.answer.spans] == [("answer", (place,))] * bool(place)
    assert (found.report.unreadable, found.report.unlocated, found.report.ambiguous) == counts


@pytest.mark.parametrize("gold", [None, "", "warfarin", "aspirin "])
def test_gold_that_is_not_in_the_note_is_refused_without_its_words(gold):
    with pytest.raises(InputError, match="not a stretch of the note") as caught:
        QUOTE.encode(asked("takes aspirin daily", gold), TASK)
    assert "x1" in str(caught.value) and "warfarin" not in str(caught.value)
