from __future__ import annotations

import pytest

from clinprompt.errors import InputError
from clinprompt.schema.example import Answer
from clinprompt.tasks.codecs.free_text import FREE_TEXT as CODEC
from clinprompt.tasks.task import Task

from ...annotated import example

TASK = Task(name="s", kind="summarisation", codec="free_text", instruction="Sum up.", metrics=("rouge-l",))


def test_text_is_kept_as_it_is():
    assert CODEC.decode(" a;\r\n b ", example("n", Answer()), TASK).answer.text == " a;\r\n b "


def test_blank_text_is_unreadable():
    assert CODEC.decode(" \n", example("n", Answer()), TASK).report.unreadable == 1


def test_gold_without_text_is_refused():
    with pytest.raises(InputError, match="no text"):
        CODEC.encode(example("n", Answer(label="x")), TASK)
