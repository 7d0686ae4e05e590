"""Where sentences begin in clinical text: abbreviations, lists, headings and lines wrapped at a width are known."""

from __future__ import annotations

import re
from dataclasses import dataclass

# One character of the stop only: runs of dots would be scanned again from each of them.
_BREAK = re.compile(r"[.!?][\"')\]’”]{0,3}\s+|[\r\n]\s*")
_LINE_END = re.compile(r"\r\n|\r|\n")
_WORD_BEFORE = re.compile(r"[\"'(\[‘“]*(\S*)$")
_WORD = re.compile(r"\S{1,40}")
_LISTED = re.compile(r"[-*•·–+#>]|\(?(?:\d{1,3}|[A-Za-z])[.)]\s|[A-Z][\w /&()-]{1,48}:")
_NUMBER_OF_LIST = re.compile(r"\(?(?:\d{1,3}|[A-Z])[.)]")
_CAPITALS = re.compile(r"[A-Z][A-Z.]{0,5}[,;.]?$")

BEFORE_NAMES = frozenset(
    (
        *("dr.", "drs.", "mr.", "mrs.", "ms.", "prof.", "st.", "vs.", "fig.", "figs.", "ref.", "refs.", "approx."),
        *("e.g.", "i.e.", "cf.", "viz.", "al.", "ca.", "no.", "nos.", "resp."),
    )
)
"""Abbreviations that a sentence does not end with when a name or a number follows."""

DOSES = frozenset(
    (
        *("p.o.", "i.v.", "i.m.", "s.c.", "s.l.", "p.r.", "q.d.", "b.i.d.", "t.i.d.", "q.i.d.", "q.h.s.", "h.s."),
        *("p.r.n.", "a.c.", "p.c.", "o.d.", "mg.", "ml.", "mcg.", "tab.", "tabs.", "cap.", "caps.", "inj."),
    )
)
"""Abbreviations of prescriptions, which other abbreviations and numbers follow within a sentence."""

NARROWEST, WIDEST = 40, 120
"""Characters of the longest lines of a text that was wrapped at a width; others are not wrapped."""


@dataclass(frozen=True, slots=True)
class Starts:
    """Places in a text, in order, where something begins: paragraphs, sentences on a new line, other sentences."""

    paragraphs: tuple[int, ...]
    lines: tuple[int, ...]
    sentences: tuple[int, ...]


def starts(text: str) -> Starts:
    """Where paragraphs and sentences begin, at the first character that is no blank; the text's own begin is left out.

    A line's end is the end of a sentence unless the text is wrapped at a width and the next word had no room. In time
    linear in the text.

    >>> starts("Seen by Dr. Lee. Takes 2.5 mg p.o. BID. Pain\\n- none")
    Starts(paragraphs=(), lines=(45,), sentences=(17, 40))
    """
    width = _width(text)
    paragraphs, lines, sentences = [], [], []
    line = 0
    for found in _BREAK.finditer(text):
        begin = found.end()
        breaks = [match.end() for match in _LINE_END.finditer(text, found.start(), begin)]
        if found.start() > 0 and begin < len(text):
            blank = len(text) if not breaks else len(text[found.start() : begin].rstrip()) + found.start()
            stop = text[found.start()] in ".!?"
            if len(breaks) > 1:
                paragraphs.append(begin)
            elif breaks and not _wrapped(text, line, found.start() if not stop else blank, begin, width):
                lines.append(begin)
            elif stop and _ends(text, max(line, found.start() - 40), found.start() + 1, begin, line=line):
                (lines if breaks else sentences).append(begin)
        line = breaks[-1] if breaks else line
    return Starts(tuple(paragraphs), tuple(lines), tuple(sentences))


def _width(text: str) -> int:
    """The width at which a text is wrapped, that of nine in ten of its lines; 0 when it is not."""
    lengths = sorted(len(line.rstrip()) for line in _LINE_END.split(text) if line.strip())
    widest = lengths[len(lengths) * 9 // 10] if len(lengths) > 1 else 0
    return widest if NARROWEST <= widest <= WIDEST else 0


def _wrapped(text: str, line: int, end: int, begin: int, width: int) -> bool:
    """Whether the line from ``line`` to ``end`` goes on in the one that begins at ``begin``."""
    if not width or text[end - 1] in ":;!?" or _LISTED.match(text, begin):
        return False
    word = _WORD.match(text, begin)
    # Lines are wrapped raggedly by some systems: five characters of room are allowed for.
    return word is not None and len(text[line:end].rstrip()) + 1 + len(word[0]) >= width - 5


def _ends(text: str, low: int, stop: int, begin: int, *, line: int) -> bool:
    """Whether a sentence ends with the stop before ``stop`` when other words begin at ``begin``."""
    after = text[begin]
    if after.islower():
        return False
    if text[stop - 1] != ".":
        return True
    before = _WORD_BEFORE.search(text[low:stop])
    word = before[1] if before else ""
    following = _WORD.match(text, begin)
    next_word = following[0] if following else ""
    if word.lower() in BEFORE_NAMES:
        # "Allergies? No. Seen today": a short answer, where a number would follow the abbreviation.
        return word.lower() in ("no.", "nos.") and not after.isdigit()
    if word.lower() in DOSES:
        return not (after.isdigit() or _CAPITALS.match(next_word))
    # Only when the line began near by: of a note in one line the stretch would be longer at every stop.
    at_line = low <= line and not text[line : stop - len(word)].strip()
    if at_line and _NUMBER_OF_LIST.fullmatch(word):
        return False
    if len(word) == 2 and word[0].isupper():
        title = _WORD_BEFORE.search(text[low : stop - len(word)].rstrip())
        return not (title and title[1].lower() in BEFORE_NAMES)
    return True
