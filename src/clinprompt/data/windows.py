"""Stretches of a long text that end at sections, paragraphs, lines or sentences, and their answers put together
again.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Sequence

from clinprompt.data.sentences import starts
from clinprompt.errors import InputError
from clinprompt.schema.document import Relation, Span
from clinprompt.schema.example import Answer

Window = tuple[int, int]
"""Half-open character range of a text."""

Fits = Callable[[str], bool]
"""Whether a stretch of text has room; what a longer stretch fits in, a shorter one does too."""

_Attributes = tuple[tuple[str, str], ...]

_SLACK = 64
"""One in so many characters may be left free when the longest stretch that fits is looked for."""


def windows(
    text: str,
    *,
    longest: int | None = None,
    overlap: int = 0,
    sections: Sequence[int] = (),
    fits: Fits | None = None,
    phase: int = 0,
) -> list[Window]:
    """Divide a text into windows of at most ``longest`` characters that fit, which together cover it.

    A window ends before a section (``sections`` are their first characters) where one begins in its second half, else
    before a paragraph, else a line, else a sentence in its last three quarters, else between two words; inside a
    word only when no word ends in the room that is left. Each window after the first begins at a sentence, else a
    word, at least ``overlap`` characters before the last one's end: whatever is no longer than ``overlap`` stands
    whole in some window, wherever the borders lie. Only where less than ``overlap`` characters fit is less shared.
    ``phase`` makes the first window that much shorter, which moves all others. An empty text has one empty window.
    Raises :class:`InputError` unless ``0 <= overlap < longest`` and ``0 <= phase < longest``, and when not one
    character fits.
    """
    longest = max(1, len(text), overlap + 1) if longest is None else longest
    if not 0 <= overlap < longest or not 0 <= phase < longest:
        raise InputError(
            f"windows of {longest} characters cannot overlap by {overlap}", allowed="0 <= overlap < longest"
        )
    borders, room = _Borders(text, sections), _Room(text, longest, fits)
    found: list[Window] = []
    start = reached = 0
    while not found or reached < len(text):
        most = room.after(start) if found else max(1, room.after(start) - phase)
        if found and start + most <= reached:  # denser text than before: what fits ends within the last window
            start += max(1, (reached - start) // 2)
            continue
        end = borders.last(start, max(reached, min(start + overlap, start + most - 1)), most)
        found.append((start, end))
        # The window that the phase made short may lie within the next one.
        lowest = 0 if phase and len(found) == 1 else start + 1
        shared = overlap if end - lowest >= overlap or lowest == 0 else (end - start) // 2
        start, reached = borders.first(lowest, end, shared), end
    return found


class _Room:
    """How many characters from a place on make a window."""

    def __init__(self, text: str, longest: int, fits: Fits | None) -> None:
        self.text, self.longest, self.fits = text, longest, fits
        self.last = longest

    def after(self, start: int) -> int:
        """The most characters from ``start``, looked for from the number that fitted last."""
        most = min(self.longest, max(1, len(self.text) - start))
        if self.fits is None or (most == self.last and self.fits(self.text[start : start + most])):
            return most
        low, high = 0, most + 1  # `low` fits, `high` does not or is too many
        guess = min(self.last, most, 4096)
        while high - low > max(1, low // _SLACK):
            if self.fits(self.text[start : start + guess]):
                low, guess = guess, min(2 * guess, high - 1) if high > most else (guess + high) // 2
            else:
                high, guess = guess, (low + guess) // 2
            guess = min(max(guess, low + 1), high - 1)
        if low == 0:
            raise InputError("not one character of the text fits", fix="use a backbone with a longer context")
        self.last = low
        return low


class _Borders:
    """Places of one text at which a window may end, the better kinds first."""

    def __init__(self, text: str, sections: Sequence[int] = ()) -> None:
        self.text = text
        found = starts(text)
        self.all = sorted({*sections, *found.paragraphs, *found.lines, *found.sentences})
        self.kinds = ((tuple(sections), 2), (found.paragraphs, 2), (found.lines, 2), (self.all, 4))

    def last(self, start: int, floor: int, longest: int) -> int:
        """Where a window from ``start`` ends, after ``floor``."""
        limit = start + longest
        if limit >= len(self.text):
            return len(self.text)
        for places, share in self.kinds:
            place = bisect_right(places, limit) - 1
            if place >= 0 and places[place] > max(floor, start + longest // share):
                return places[place]
        return next((place for place in range(limit, floor, -1) if self._between_words(place)), limit)

    def first(self, lowest: int, end: int, shared: int) -> int:
        """Where the next window begins, at least ``shared`` characters before ``end``: the last sentence not much
        before that, else the last word, else just there.
        """
        latest = max(lowest, end - shared) if shared else end
        if not shared or latest == 0:
            return latest
        place = bisect_right(self.all, latest) - 1
        if place >= 0 and self.all[place] >= max(lowest, latest - min(shared, (latest - lowest) // 2)):
            return self.all[place]
        low = max(lowest, latest - (latest - lowest) // 2)
        return next((place for place in range(latest, low - 1, -1) if self._begins_word(place)), latest)

    def _begins_word(self, place: int) -> bool:
        return self.text[place - 1 : place].isspace() and not self.text[place].isspace()

    def _between_words(self, place: int) -> bool:
        before, after = self.text[place - 1], self.text[place]
        return (before.isspace() or after.isspace()) and before + after != "\r\n"


def merge(places: Sequence[Window], answers: Sequence[Answer]) -> Answer:
    """The spans and relations found in windows as one answer over the whole text.

    ``answers`` have offsets within their window. Spans with the same label and fragments are one, unless one window
    tells several of them apart by their attributes; of windows that disagree on attributes, the one counts in which
    the place lies farthest from an edge. Spans come in text order (longer first) with the ids T1, T2, …, relations
    as R1, R2, … between them.
    """
    told: dict[tuple[str, tuple[Window, ...]], tuple[int, dict[_Attributes, Span]]] = {}
    links: list[tuple[str, Span, Span]] = []
    for (start, end), answer in zip(places, answers, strict=True):
        moved = [span.shifted(start) for span in answer.spans]
        here: dict[tuple[str, tuple[Window, ...]], dict[_Attributes, Span]] = {}
        for span in moved:
            here.setdefault(span.key, {}).setdefault(_attributes(span), span)
        for key, several in here.items():
            margin = min(key[1][0][0] - start, end - key[1][-1][1])
            if key not in told or margin > told[key][0]:
                told[key] = (margin, several)
        named = {span.id: span for span in moved}
        links += [(relation.label, named[relation.head], named[relation.tail]) for relation in answer.relations]
    ordered = sorted(
        (span for _, several in told.values() for span in several.values()),
        key=lambda span: (span.start, -span.end, span.key, _attributes(span)),
    )
    numbers = {(span.key, _attributes(span)): place for place, span in enumerate(ordered, 1)}

    def number(span: Span) -> int:
        """Of the mention itself, or of the first at its place where another window told it otherwise."""
        several = told[span.key][1]
        return numbers[span.key, _attributes(span) if _attributes(span) in several else min(several)]

    joined = {(head.fragments, tail.fragments, label, number(head), number(tail)) for label, head, tail in links}
    spans = tuple(
        Span(label=span.label, fragments=span.fragments, id=f"T{place}", attributes=span.attributes)
        for place, span in enumerate(ordered, 1)
    )
    relations = tuple(
        Relation(label=label, head=f"T{head}", tail=f"T{tail}", id=f"R{place}")
        for place, (_, _, label, head, tail) in enumerate(sorted(joined), 1)
    )
    return Answer(spans=spans, relations=relations)


def _attributes(span: Span) -> _Attributes:
    return tuple(sorted(span.attributes.items()))


def within(answer: Answer, place: Window) -> Answer:
    """The spans that lie in one window, at their places there, and the relations between them."""
    start, end = place
    spans = tuple(span.shifted(-start) for span in answer.spans if start <= span.start and span.end <= end)
    names = {span.id for span in spans}
    return Answer(spans=spans, relations=tuple(one for one in answer.relations if {one.head, one.tail} <= names))
