"""Where quoted words stand in a long text, and the stretch of the text around them."""

from __future__ import annotations

from functools import lru_cache

from clinprompt.data.windows import Window, windows

DRIFT = 5
"""Characters by which a published offset may miss its words and still be taken to mean them."""


def located(text: str, words: str, start: int) -> int | None:
    """Where ``words`` stand: at ``start``, else at the one place near it, else at the one place in the text.

    ``None`` when that is no single place; a quotation at several places far from ``start`` is not guessed.
    """
    if words and start >= 0 and text.startswith(words, start):
        return start
    if not words:
        return None
    near = [place for place in range(max(0, start - DRIFT), start + DRIFT + 1) if text.startswith(words, place)]
    if len(near) == 1:
        return near[0]
    first = text.find(words)
    return first if not near and first >= 0 and text.find(words, first + 1) < 0 else None


def trimmed(text: str, place: Window) -> Window:
    """The range without the blanks at its ends; ``start == end`` when there is nothing else."""
    start, end = place
    words = text[start:end]
    lead = len(words) - len(words.lstrip())
    return start + lead, max(start + lead, end - (len(words) - len(words.rstrip())))


def stretch(text: str, place: Window, *, longest: int) -> Window:
    """The window of at most ``longest`` characters that holds ``place``, with most text on its shorter side.

    Windows end at paragraphs, lines and sentences (:func:`clinprompt.data.windows.windows`) and overlap by
    half or more. When none holds the whole place, the stretch begins at the place (and ends with it when the place
    is longer than ``longest``).
    """
    start, end = place
    found = [window for window in _windows(text, longest) if window[0] <= start < end <= window[1]]
    if found:
        return max(found, key=lambda window: min(start - window[0], window[1] - end))
    return start, max(end, min(len(text), start + longest))


@lru_cache(maxsize=4)  # many questions in a row are about one text
def _windows(text: str, longest: int) -> list[Window]:
    return windows(text, longest=longest, overlap=longest // 2)
