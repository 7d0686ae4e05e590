from __future__ import annotations

import sys

from clinprompt.tasks.form import BLANKS, Excerpt, OneOf, excerpts


def test_blanks_are_those_of_python():
    assert {character for character in map(chr, range(sys.maxunicode + 1)) if character.isspace()} == set(BLANKS)


def test_a_closed_list_is_its_texts_behind_the_joint():
    assert OneOf(("yes", 'say "no"', "yes")).grammar(" ") == r'start: " yes" | " say \"no\""'
    assert OneOf(("yes",)).after("yes") is None


def test_a_note_of_blanks_has_nothing_to_quote():
    assert excerpts("WORDS", list(" \n\t")) == ""
    assert excerpts("WORDS", list("  "), escaped=True).startswith("WORDS: WORDS_GUARDED\n")
    assert Excerpt(" \n", ("unanswerable",)).grammar(" ") == 'start: " " ("unanswerable")\n'
    assert "substring_chunks" in Excerpt("a", ()).grammar("")
