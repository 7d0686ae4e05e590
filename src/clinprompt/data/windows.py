"""Stretches of a long text that end at paragraphs, lines or sentences, and their answers put together
again.
"""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Sequence

from clinprompt.errors import InputError
from clinprompt.schema.document import Relation, Span
from clinprompt.schema.example import Answer

Window = tuple[int, int]
"""Half-open character range of a text."""

_PARAGRAPH = re.compile(r"\n[^\S\n]*\n\s*")
_LINE = re.compile(r"\n|\r(?!\n)")
_SENTENCE = re.compile(r"(?<=[.!?])[\"')\]]{0,3}\s+(?=\S)")


def windows(text: str, *, longest: int, overlap: int = 0) -> list[Window]:
    """Divide a text into windows of at most ``longest`` characters that together cover it.

    A window ends after a paragraph where there is one in its second half, else after a line, else after a
    sentence in its last three quarters, else between two words; inside a word only when the word is longer
    than ``longest``. Each window after the first begins at such a place at most ``overlap`` characters
    before the last one's end. An empty text has one empty window. Raises :class:`InputError` unless ``0 <=
    overlap < longest``.
    """
    if not 0 <= overlap < longest:
        raise InputError(
            f"windows of {longest} characters cannot overlap by {overlap}", allowed="0 <= overlap < longest"
        )
    borders = _Borders(text)
    found: list[Window] = []
    start = reached = 0
    while not found or reached < len(text):
        end = borders.last(start, reached, longest)
        if end is None and start < reached:
            start = reached  # the overlap leaves no room for the next word
            continue
        end = start + longest if end is None else end
        found.append((start, end))
        start, reached = borders.first(max(start + 1, end - overlap), end), end
    return found


class _Borders:
    """Places of one text at which a window may end, the better kinds first."""

    def __init__(self, text: str) -> None:
        self.text = text
        paragraphs = [match.end() for match in _PARAGRAPH.finditer(text)]
        lines = [match.end() for match in _LINE.finditer(text)]
        sentences = [
            match.end()
            for match in _SENTENCE.finditer(text)
            if text[match.end()].isupper() or text[match.end()].isdigit()
        ]
        self.kinds = ((paragraphs, 2), (lines, 2), (sentences, 4))
        self.all = sorted({*paragraphs, *lines, *sentences})

    def last(self, start: int, reached: int, longest: int) -> int | None:
        """Where a window from ``start`` ends, after ``reached``; ``None`` when one word fills the room."""
        limit = start + longest
        if limit >= len(self.text):
            return len(self.text)
        for places, share in self.kinds:
            place = bisect_right(places, limit) - 1
            if place >= 0 and places[place] > max(reached, start + longest // share):
                return places[place]
        return next((place for place in range(limit, reached, -1) if self._between_words(place)), None)

    def first(self, lowest: int, end: int) -> int:
        """Where the next window begins: the first sentence from ``lowest`` on, else the first word, else
        ``end``.
        """
        place = bisect_left(self.all, lowest)
        if place < len(self.all) and self.all[place] < end:
            return self.all[place]
        return next((place for place in range(lowest, end) if self._between_words(place)), end)

    def _between_words(self, place: int) -> bool:
        before, after = self.text[place - 1], self.text[place]
        return (before.isspace() or after.isspace()) and before + after != "\r\n"


def merge(places: Sequence[Window], answers: Sequence[Answer]) -> Answer:
    """The spans and relations found in windows as one answer over the whole text.

    ``answers`` have offsets within their window. Spans with the same label and fragments are one; of their
    attributes those stay that were found farthest from an edge of a window. Spans come in text order (longer
    first) with the ids T1, T2, …, relations as R1, R2, … between them.
    """
    best: dict[tuple[str, tuple[Window, ...]], tuple[int, Span]] = {}
    links: dict[tuple[str, tuple[str, tuple[Window, ...]], tuple[str, tuple[Window, ...]]], None] = {}
    for (start, end), answer in zip(places, answers, strict=True):
        moved = [span.shifted(start) for span in answer.spans]
        for span in moved:
            margin = min(span.start - start, end - span.end)
            if span.key not in best or margin > best[span.key][0]:
                best[span.key] = (margin, span)
        keys = {span.id: span.key for span in moved}
        for relation in answer.relations:
            links[(relation.label, keys[relation.head], keys[relation.tail])] = None
    ordered = sorted((span for _, span in best.values()), key=lambda span: (span.start, -span.end, span.key))
    names = {span.key: f"T{place}" for place, span in enumerate(ordered, 1)}
    spans = tuple(
        Span(label=span.label, fragments=span.fragments, id=names[span.key], attributes=span.attributes)
        for span in ordered
    )
    relations = tuple(
        Relation(label=label, head=names[head], tail=names[tail], id=f"R{place}")
        for place, (label, head, tail) in enumerate(sorted(links, key=lambda link: (link[1][1], link[2][1], link)), 1)
    )
    return Answer(spans=spans, relations=relations)
