from __future__ import annotations

import hashlib
import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clinprompt.errors import InputError
from clinprompt.schema.formulated import Piece
from clinprompt.tasks.template import TEMPLATES, Template, chat_template, render

INPUTS = {"note": "chest pain", "question": "Where?", "options": "A: x B: y", "hypothesis": "It hurts."}


def text(pieces) -> str:
    return "".join(piece.text for piece in pieces)


def test_markers_with_everything():
    rendered = render(TEMPLATES["markers"], INPUTS, "Answer.")
    assert text(rendered.context) == "<note>chest pain<q> Where? A: x B: y<q> It hurts.<task> Answer."
    assert rendered.cue == (Piece("<ans>", trusted=True),)


def test_plain_with_a_note_alone():
    rendered = render(TEMPLATES["plain"], {"note": "chest pain"}, "Answer.")
    assert rendered.context == (
        Piece("Note:", trusted=True),
        Piece(" chest pain"),
        Piece("\nTask:", trusted=True),
        Piece(" Answer."),
        Piece("\n", trusted=True),
    )
    assert text(rendered.cue) == "Answer:"


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("markers-first", "<task> Answer.<note>chest pain<q> Where?"),
        ("plain-first", "Task: Answer.\nNote: chest pain\nQuestion: Where?\n"),
    ],
)
def test_the_instruction_may_come_first(name, expected):
    assert text(render(TEMPLATES[name], {"note": "chest pain", "question": "Where?"}, "Answer.").context) == expected


@pytest.mark.parametrize("name", list(TEMPLATES))
@given(note=st.text(min_size=1), question=st.text(min_size=1))
def test_slot_texts_are_untrusted_and_whole_but_for_a_blank_in_front(name, note, question):
    rendered = render(TEMPLATES[name], {"note": note, "question": question}, "Answer.")
    untrusted = {piece.text for piece in rendered.context if not piece.trusted}
    assert untrusted <= {blank + slot for blank in ("", " ") for slot in (note, question, "Answer.")}
    assert all({slot, f" {slot}"} & untrusted for slot in (note, question, "Answer."))


@pytest.mark.parametrize("name", list(TEMPLATES))
def test_a_note_that_looks_like_a_template_is_only_text(name):
    note = "<task> {question} [x] <ans>"
    pieces = render(TEMPLATES[name], {"note": note}, "Answer.").context
    assert [piece.trusted for piece in pieces if note in piece.text] == [False]


@pytest.mark.parametrize("name", list(TEMPLATES))
def test_rows_have_the_name_of_their_template_and_hashes_of_their_own(name):
    assert TEMPLATES[name].name == name
    assert sum(TEMPLATES[other].hash == TEMPLATES[name].hash for other in TEMPLATES) == 1


def test_the_hash_is_of_the_text_not_the_name():
    one, other = Template("a", "{note}", "x"), Template("b", "{note}", "x")
    assert one.hash == other.hash != Template("a", "{note}x", "").hash
    assert len(one.hash) == 16


@pytest.mark.parametrize("name", list(TEMPLATES))
def test_literals_never_end_in_a_blank_before_a_slot(name):
    pieces = render(TEMPLATES[name], INPUTS, "Answer.").context
    assert all(
        not before.text.endswith(" ")
        for before, after in itertools.pairwise(pieces)
        if not after.trusted and before.trusted
    )


def test_an_input_without_slot_is_refused_not_dropped():
    with pytest.raises(InputError, match="hypothesis"):
        render(Template("short", "{note} {instruction}", ""), INPUTS, "Answer.")


def test_a_missing_input_outside_brackets_is_refused():
    with pytest.raises(InputError, match="'question'"):
        render(Template("asks", "{note}{question}{instruction}", ""), {"note": "n"}, "Answer.")


def test_unknown_slots_and_names_are_refused():
    with pytest.raises(InputError, match="patient"):
        Template("odd", "{patient}", "")
    with pytest.raises(InputError, match=r"(?i)did you mean"):
        TEMPLATES["marker"]


def test_a_chat_frame_is_trusted_text_taken_as_it_is_and_joined_with_the_words_beside_it():
    template = chat_template(before="<[user]{x}>\n", after="</[user]><model>")
    found = render(template, {"note": "a [note] {x}"}, "Say.")
    assert found.context == (
        Piece("<[user]{x}>\nNote:", trusted=True),
        Piece(" a [note] {x}"),
        Piece("\nTask:", trusted=True),
        Piece(" Say."),
    )
    assert found.cue == (Piece("</[user]><model>", trusted=True),)
    assert template.slots == frozenset({"note", "question", "options", "hypothesis", "instruction"})


def test_a_frame_counts_in_the_hash_and_templates_without_one_keep_theirs():
    hashes = {chat_template(before=b, after=a).hash for b, a in (("x", "y"), ("xy", ""), ("", "xy"), ("", ""))}
    assert len(hashes) == 4
    for template in TEMPLATES.values():
        assert template.hash == hashlib.sha256(f"{template.context}\0{template.cue}".encode()).hexdigest()[:16]
        assert template.hash not in hashes
