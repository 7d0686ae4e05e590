from __future__ import annotations

import re
from html import unescape

from hypothesis import given
from hypothesis import strategies as st

from clinprompt.data.marked_text import marked
from clinprompt.schema.document import Span
from clinprompt.study.highlight import marks
from tests.study.story import NOTE, at, entities_example, span

TAG = re.compile(r"<[^>]*>")


def stripped(html: str) -> str:
    return unescape(TAG.sub("", html))


def drawn(text: str, element: str, part: str) -> str:
    """What the elements whose opening tag holds ``part`` cover, in text order."""
    found = []
    for opening in re.finditer(rf"<{element}\b[^>]*{re.escape(part)}[^>]*>", text):
        depth, at_ = 1, opening.end()
        while depth:
            tag = re.compile(rf"<(/?){element}\b[^>]*>").search(text, at_)
            depth += -1 if tag.group(1) else 1
            at_ = tag.end()
        found.append(stripped(text[opening.end() : at_]))
    return "|".join(found)


@st.composite
def notes_with_spans(draw):
    text = draw(st.text("ab<>&\"' \n\r\t\u00a0é😀", min_size=1, max_size=30))
    border = st.integers(0, len(text))

    def one():
        borders = sorted(draw(st.sets(border, min_size=2, max_size=4)))
        pairs = [(borders[i], borders[i + 1]) for i in range(0, len(borders) - 1, 2)]
        return Span(label=draw(st.sampled_from(["A", 'B"<x>'])), fragments=tuple(pairs))

    return text, [[one() for _ in range(draw(st.integers(0, 4)))] for _ in range(2)]


@given(notes_with_spans())
def test_without_tags_the_note_is_left_exactly(case):
    text, (gold, predicted) = case
    html = str(marked(text, marks(gold, predicted)))
    assert "\r" not in html  # a browser would make a line feed of it
    assert stripped(html) == text


@given(notes_with_spans())
def test_every_span_covers_its_fragments_once_and_no_lane_is_shared(case):
    text, (gold, predicted) = case
    found = marks(gold, predicted)
    assert len(found) == len({span.key for span in [*gold, *predicted]})
    for mark in found:
        # Drawn alone, what its elements cover is the span's text and nothing else.
        alone = drawn(str(marked(text, [mark])), "mark", f'class="{mark.verdict}"')
        assert alone == "|".join(text[start:end] for start, end in mark.fragments if start < end)
    for one in found:
        for other in found:
            first, last = max(one.fragments[0][0], other.fragments[0][0]), min(
                one.fragments[-1][1], other.fragments[-1][1]
            )  # fmt: skip
            assert one is other or last <= first or one.lane != other.lane


def test_verdicts_nesting_and_gap_of_a_worked_example():
    shown = entities_example()
    found = marks(shown.gold.spans, shown.predicted.spans)
    assert [(mark.verdict, mark.label, mark.lane) for mark in found] == [
        ("correct", "Problem", 0),  # Fever
        ("correct", "Problem", 2),  # left … lung pain, outermost
        ("spurious", "Site", 1),  # right" lung
        ("missed", "Site", 0),  # lung
        ("spurious", "Problem", 0),  # cough
        ("missed", "Time", 0),  # 2 days
    ]
    html = str(marked(NOTE, found))
    assert drawn(html, "mark", 'class="correct"') == "Fever|left|lung| pain"
    assert drawn(html, "mark", 'class="spurious"') == 'right" |lung|cough'
    assert drawn(html, "span", 'class="gap correct"') == ' & |right" '
    assert html.count("data-tag=") == len(found)


def test_labels_of_equal_places_and_hostile_labels_are_escaped():
    start, end = at("Fever")
    found = marks([span('A"><script>', (start, end))], [span("B", (start, end))])
    assert {mark.lane for mark in found} == {0, 1}
    html = str(marked(NOTE, found))
    assert "<script" not in html
    assert stripped(re.sub(r'"[^"]*"', '""', html)) == NOTE
