from __future__ import annotations

import time

from hypothesis import given
from hypothesis import strategies as st

from clinprompt.tasks.grounding import Grounder, Located, Part

from ..annotated import fragments, notes


def words(*texts):
    return tuple(Part(text) for text in texts)


@given(notes.flatmap(lambda note: st.tuples(st.just(note), fragments(len(note)), st.integers(0, len(note)))))
def test_a_mention_is_found_again_where_it_came_from(case):
    note, parts, start = case
    grounder = Grounder(note)
    found = grounder.locate(grounder.mention(parts, start=start), start=start)
    assert found is not None and found.fragments == parts and not found.repeated


@given(notes, st.text(min_size=1, max_size=4), st.integers(0, 50))
def test_what_is_located_is_in_the_note(note, text, start):
    found = Grounder(note).locate(words(text), start=start)
    if found is None:
        assert text not in note
    else:
        (begin, end) = found.fragments[0]
        assert note[begin:end] == text or note[begin:end].split() == text.split()


def test_the_search_goes_on_from_the_start_then_backwards():
    grounder = Grounder("a b a b a")
    assert [grounder.locate(words("b"), start=at).fragments[0][0] for at in (0, 2, 3, 6, 7, 9)] == [
        2,
        2,
        6,
        6,
        6,
        6,
    ]


def test_taken_places_are_passed_over_until_none_is_left():
    grounder = Grounder("b b")
    first, second = ((0, 1),), ((2, 3),)
    assert grounder.locate(words("b"), taken={first}) == Located(second, ambiguous=True)
    assert grounder.locate(words("b"), taken={first, second}) == Located(first, ambiguous=True, repeated=True)


def test_occurrences_are_counted_with_overlaps_and_inside_words():
    grounder = Grounder("aaa a")
    assert [grounder.locate((Part("aa", k),)).fragments for k in (1, 2)] == [((0, 2),), ((1, 3),)]


def test_an_occurrence_that_is_not_there_is_no_mark():
    assert Grounder("x pain").locate((Part("pain", 7),)) == Located(((2, 6),))
    assert Grounder("x pain").locate((Part("pain", 0),)) == Located(((2, 6),))


def test_marked_fragments_out_of_order_are_not_placed():
    assert Grounder("a b a").locate((Part("b"), Part("a", 1))) is None
    assert Grounder("a b a").locate((Part("b"), Part("a"))) == Located(((2, 3), (4, 5)), ambiguous=True)


def test_line_breaks_for_blanks_are_forgiven_but_exact_places_come_first():
    assert Grounder("chest\r\n pain").locate(words("chest pain")).fragments == ((0, 12),)
    assert Grounder("chest\npain, chest pain").locate(words("chest pain")).fragments == ((12, 22),)


def test_letters_with_combining_marks_are_one_word():
    assert Grounder("fe\u0301e e").locate(words("e")).fragments == ((5, 6),)


def test_a_long_note_with_thousands_of_repeats_stays_quick():
    note = "pain " * 4000
    grounder = Grounder(note)
    began = time.perf_counter()
    taken = set()
    for _ in range(1000):
        found = grounder.locate(words("pain"), start=max(taken)[0][0] if taken else 0, taken=taken)
        taken.add(found.fragments)
    assert len(taken) == 1000
    assert time.perf_counter() - began < 5


def test_a_fragment_leaves_room_for_the_one_behind_it():
    grounder = Grounder('chest pain4.1"\\n')
    assert grounder.locate(words("e", "n")).fragments == ((2, 3), (15, 16))  # alone: the place at word borders
    assert grounder.earliest_end(words("e", "n")) == 10
    assert grounder.locate(words("e", "n", "4")).fragments == ((2, 3), (9, 10), (10, 11))
