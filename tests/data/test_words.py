from __future__ import annotations

from clinprompt.data.words import word_counts
from clinprompt.schema.example import Answer, Example


def test_a_text_counts_once_and_numbers_do_not():
    note = {"note": "Fever, FEVER 39.5 [**Name**]", "question": "Fever?"}
    examples = [Example(name, note, Answer(), name) for name in "ab"]
    assert word_counts(examples) == {"fever": 3, "name": 1}
    assert word_counts([]) == {} and word_counts([Example("c", {"note": " 12 "}, Answer(), "c")]) == {}
