from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clinprompt.data.windows import merge, windows
from clinprompt.errors import InputError
from clinprompt.schema.document import Relation, Span
from clinprompt.schema.example import Answer
from tests.data.drawn import documents, texts

long_texts = st.lists(texts, max_size=8).map("".join)
sizes = st.integers(1, 30).flatmap(lambda longest: st.tuples(st.just(longest), st.integers(0, longest - 1)))


@given(text=long_texts, size=sizes, data=st.data())
def test_windows_cover_the_text_and_share_what_was_asked_for(text, size, data):
    longest, overlap = size
    phase = data.draw(st.integers(0, longest - 1))
    places = windows(text, longest=longest, overlap=overlap, phase=phase)
    assert places[0][0] == 0 and places[-1][1] == len(text)
    assert all(0 < end - start <= longest for start, end in places) or places == [(0, 0)]
    for (start, end), (next_start, next_end) in pairwise(places):
        assert start <= next_start <= end < next_end
        assert next_start <= max(0, end - overlap)
        assert start < next_start or (phase and start == 0)


@given(text=long_texts, longest=st.integers(1, 30))
def test_words_are_divided_only_when_they_fill_a_window(text, longest):
    for start, end in windows(text, longest=longest):
        for place in (start, end):
            if 0 < place < len(text) and not text[place - 1].isspace() and not text[place].isspace():
                first = next((i for i in range(place, 0, -1) if text[i - 1].isspace()), 0)
                last = next((i for i in range(place, len(text)) if text[i].isspace()), len(text))
                assert last - first > longest


@given(text=long_texts, room=st.integers(4, 60), overlap=st.integers(0, 3))
def test_every_window_fits_and_the_text_is_covered(text, room, overlap):
    fits = lambda stretch: len(stretch.encode()) <= room  # noqa: E731
    places = windows(text, overlap=overlap, fits=fits)
    assert all(fits(text[start:end]) for start, end in places)
    assert places[0][0] == 0 and places[-1][1] == len(text)
    assert all(one[0] < two[0] <= one[1] < two[1] for one, two in pairwise(places))
    if text.isascii():
        assert all(two[0] <= max(0, one[1] - overlap) for one, two in pairwise(places))


def test_windows_that_fit_are_nearly_as_long_as_can_be():
    text = "Pain since Monday. " * 2000
    for room in (100, 1000, 20_000):
        asked = []
        fits = lambda stretch: asked.append(len(stretch)) or len(stretch) <= room  # noqa: B023, E731
        places = windows(text, fits=fits)
        assert all(end - start > room - room // 64 - 20 for start, end in places[:-1])
        assert len(asked) < 20 * len(places)


def test_a_text_of_which_nothing_fits_is_refused():
    with pytest.raises(InputError, match="not one character"):
        windows("some text", fits=lambda stretch: False)


def test_sections_go_before_paragraphs():
    text = "Plan: stop it.\n\nSee again.\nExam: well"
    assert windows(text, longest=32, sections=[27])[0] == (0, 27)
    assert windows(text, longest=30)[0] == (0, 16)


@given(text=long_texts, longest=st.integers(2, 30))
def test_without_overlap_windows_are_a_partition(text, longest):
    assert "".join(text[start:end] for start, end in windows(text, longest=longest)) == text


@pytest.mark.parametrize(
    ("text", "longest", "pieces"),
    [
        ("One two.\n\nThree four. Five", 20, ["One two.\n\n", "Three four. Five"]),
        ("One two three.\nFour five. Six", 22, ["One two three.\n", "Four five. Six"]),
        ("Dose 2.5 mg. Then stop it", 20, ["Dose 2.5 mg. ", "Then stop it"]),
        ("He said so.) And left now", 20, ["He said so.) ", "And left now"]),
        ("no sentence ends here", 12, ["no sentence ", "ends here"]),
        ("One.\r\n\r\nTwo three four", 16, ["One.\r\n\r\n", "Two three four"]),
        ("antidisestablishment", 8, ["antidise", "stablish", "ment"]),
        ("ab\r\ncd", 3, ["ab", "\r\n", "cd"]),
        ("", 5, [""]),
    ],
)
def test_borders_are_chosen_in_order(text, longest, pieces):
    assert [text[start:end] for start, end in windows(text, longest=longest)] == pieces


def test_overlap_begins_at_a_sentence_or_a_word():
    text = "First sentence here. Second one here. Third one is here. Fourth."
    found = [text[start:end] for start, end in windows(text, longest=40, overlap=20)]
    assert found == [
        "First sentence here. Second one here. ",
        "here. Second one here. Third one is ",
        "one here. Third one is here. Fourth.",
    ]
    found = [text[start:end] for start, end in windows(text, longest=45, overlap=12)]
    assert found == ["First sentence here. Second one here. ", "Second one here. Third one is here. Fourth."]


def test_long_texts_take_linear_time():
    text = "." * 50_000 + " " * 50_000 + "\n" * 50_000 + "x" * 50_000 + "Pain. " * 20_000
    assert windows(text, longest=1000, overlap=100)[-1][1] == len(text)


@pytest.mark.parametrize(("longest", "overlap", "phase"), [(0, 0, 0), (5, 5, 0), (5, -1, 0), (5, 0, 5), (5, 0, -1)])
def test_sizes_are_checked(longest, overlap, phase):
    with pytest.raises(InputError):
        windows("text", longest=longest, overlap=overlap, phase=phase)


def oracle(document, places):
    """What a perfect reader of each window answers: all that stands whole in it."""
    answers = []
    for start, end in places:
        here = [span for span in document.spans if start <= span.start and span.end <= end]
        ids = {span.id for span in here}
        links = [link for link in document.relations if {link.head, link.tail} <= ids]
        answers.append(Answer(spans=tuple(span.shifted(-start) for span in here), relations=tuple(links)))
    return answers


def said(answer, *, within=10**6):
    """Spans and relations by label and place, those of at most so many characters."""
    keys = {span.id: span.key for span in answer.spans}
    places = {span.id: (span.start, span.end) for span in answer.spans}
    links = set()
    for link in answer.relations:
        ends = (*places[link.head], *places[link.tail])
        if max(ends) - min(ends) <= within:
            links.add((link.label, keys[link.head], keys[link.tail]))
    return {span.key for span in answer.spans if span.end - span.start <= within}, links


@given(document=documents(), size=sizes, data=st.data())
def test_what_is_no_longer_than_the_overlap_is_found_whatever_the_phase(document, size, data):
    longest, overlap = size
    gold = said(document, within=overlap)
    for phase in {0, data.draw(st.integers(0, longest - 1)), longest - 1}:
        places = windows(document.text, longest=longest, overlap=overlap, phase=phase)
        assert said(merge(places, oracle(document, places)), within=overlap) == gold


@given(document=documents(), size=sizes)
def test_merged_windows_hold_each_whole_span_and_relation_once(document, size):
    longest, overlap = size
    places = windows(document.text, longest=longest, overlap=overlap)
    answers, whole, joined = oracle(document, places), set(), set()
    for start, end in places:
        here = [span for span in document.spans if start <= span.start and span.end <= end]
        whole |= {full(span) for span in here}
        ids = {span.id for span in here}
        links = [link for link in document.relations if {link.head, link.tail} <= ids]
        joined |= {(link.label, full(document.span(link.head)), full(document.span(link.tail))) for link in links}
    merged = merge(places, answers)
    named = {span.id: full(span) for span in merged.spans}
    assert sorted(named.values()) == sorted(whole)
    links = [(link.label, named[link.head], named[link.tail]) for link in merged.relations]
    assert sorted(links) == sorted(joined)
    assert [span.id for span in merged.spans] == [f"T{place}" for place in range(1, len(whole) + 1)]
    assert [span.start for span in merged.spans] == sorted(span.start for span in merged.spans)


def full(span):
    return (*span.key, tuple(sorted(span.attributes.items())))


def test_of_two_copies_the_one_far_from_the_edge_counts():
    near = Answer(spans=(Span("Drug", ((8, 10),), "a", {"negated": "yes"}),))
    far = Answer(
        spans=(Span("Drug", ((3, 5),), "b", {"negated": "no"}), Span("Dose", ((3, 8),), "c")),
        relations=(Relation("dose", "c", "b"),),
    )
    for places, answers in (([(0, 10), (5, 15)], [near, far]), ([(5, 15), (0, 10)], [far, near])):
        merged = merge(places, answers)
        assert merged.spans == (
            Span("Dose", ((8, 13),), "T1"),
            Span("Drug", ((8, 10),), "T2", {"negated": "no"}),
        )
        assert merged.relations == (Relation("dose", "T1", "T2", "R1"),)


def test_mentions_at_one_place_that_a_window_tells_apart_stay_apart():
    smoker = (
        Span("Tobacco", ((8, 14),), "T1", {"status": "past"}),
        Span("Tobacco", ((8, 14),), "T2", {"status": "now"}),
    )
    whole = Answer(spans=(*smoker, Span("Amount", ((15, 18),), "T3")), relations=(Relation("amount", "T3", "T2"),))
    alone = Answer(
        spans=(Span("Tobacco", ((3, 9),), "a"), Span("Amount", ((10, 13),), "b")),
        relations=(Relation("amount", "b", "a"), Relation("of", "a", "b")),
    )
    for answers in ([whole, alone], [alone, whole]):
        places = [(0, 30), (5, 20)] if answers[0] is whole else [(5, 20), (0, 30)]
        merged = merge(places, answers)
        assert [(span.id, span.label, dict(span.attributes)) for span in merged.spans] == [
            ("T1", "Tobacco", {"status": "now"}), ("T2", "Tobacco", {"status": "past"}), ("T3", "Amount", {}),
        ]  # fmt: skip
        # What the other window says without the attributes is about the first of them.
        assert {(one.label, one.head, one.tail) for one in merged.relations} == {
            ("amount", "T3", "T1"), ("of", "T1", "T3"),
        }  # fmt: skip
