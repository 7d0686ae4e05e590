from __future__ import annotations

from pathlib import Path

import pytest

from clinprompt.data.readers import bioasq
from clinprompt.errors import InputError

SAMPLE = Path(__file__).parents[2] / "samples" / "bioasq" / "good.json"


@pytest.mark.parametrize(
    ("target", "ids", "answers"),
    [
        ("yesno", ["a1", "a5"], ["yes", "no"]),
        ("exact", ["a2"], ["RNA"]),
        ("ideal", ["a1", "a2", "a3", "a4", "a5"], ["Yes, it is.", "It is RNA.", "x and y", "In short.", "No."]),
    ],
)
def test_each_target_has_its_questions(target, ids, answers):
    found = bioasq.read(SAMPLE, target=target)
    assert [example.id for example in found] == ids
    assert [example.answer.label or example.answer.text for example in found] == answers


def test_a_file_without_such_questions(tmp_path):
    (tmp_path / "q.json").write_text('{"questions": []}')
    with pytest.raises(InputError, match="no question"):
        bioasq.read(tmp_path / "q.json")
