"""What may follow a pause: further fragments forward in the note, occurrences that exist, then the rest of the item."""

from __future__ import annotations

import json
import re

import pytest

from clinprompt.tasks.codecs.item_form import ItemForm, ItemShape

NOTE = "pain in chest, no pain in arm"
FORM = ItemForm(NOTE, [ItemShape("site"), ItemShape("link", (("a", "b"), ()))])


def quotable(grammar, name):
    """The text that the quotations of this name are taken from."""
    [chunks] = re.findall(rf"^{name}_RUN: %regex (.*)$", grammar, flags=re.MULTILINE)
    return "".join(json.loads(chunks)["substring_chunks"])


@pytest.mark.parametrize("end", ["none", "site: pain", "site: pain in chest; link: a=pain > arm", r"site: a\|"])
def test_an_answer_that_is_not_paused_is_at_its_end(end):
    assert FORM.after(end) is None


@pytest.mark.parametrize(
    ("written", "rest"),
    [
        ("site: chest |", ", no pain in arm"),
        ("site: no; site: chest |", ", no pain in arm"),
        ("site: pain #2 |", " in arm"),
        ("site: pain | no |", " pain in arm"),
        ("link: a=pain > no |", " pain in arm"),
    ],
)
def test_a_further_fragment_stands_behind_the_last(written, rest):
    grammar = FORM.after(written)
    assert quotable(grammar, "NEXT") == rest
    assert quotable(grammar, "NEXT_SHORT") == rest[:-1]  # a third fragment needs room behind the second
    assert quotable(grammar, "WORDS") == NOTE


@pytest.mark.parametrize(
    ("written", "numbers"),
    [
        ("site: pain #", '("1" | "2")'),
        ("site: chest | pain #", '("2")'),
        ("link: b=no #", '("1") " > "'),
        ("link: b=in > arm #", '("1") ("; " items)?'),
    ],
)
def test_an_occurrence_that_is_named_exists(written, numbers):
    start = FORM.after(written).splitlines()[0]
    assert start.startswith(f"start: {numbers}")
    # Behind the last words of the note there is no further fragment.
    assert (' " |"' in start) == ("arm" not in written)


def test_the_mark_of_an_occurrence_is_no_mark_when_it_was_in_the_note():
    form = ItemForm("rule #2; b", [ItemShape("site")])
    assert form.after(r"site: rule \#2\; b") is None
    assert quotable(form.after(r"site: rule \#2\; |"), "NEXT") == " b"


def test_an_empty_note_has_nothing_to_say():
    assert ItemForm("", [ItemShape("site")]).grammar(" ") == 'start: " " "none"'
