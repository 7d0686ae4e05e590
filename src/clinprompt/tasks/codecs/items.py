"""The form of answer items: separators, backslash escapes and mentions with occurrence marks.

Characters that have a meaning in the form are escaped in what is copied from the note, so any note can be
quoted; reading never fails: what is not an escape is taken as it stands.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from clinprompt.tasks.grounding import Mention, Part

MENTION_SPECIALS = "\\;|#"
WORD_SPECIALS = MENTION_SPECIALS + ":>="
NOTHING = "none"

Unit = tuple[str, bool]
"""A character and whether a backslash made it plain."""

_NAMED = {"n": "\n", "r": "\r"}
_MAX_DIGITS = 9


def escape(text: str, *, specials: str = MENTION_SPECIALS) -> str:
    r"""Text as it is written inside an item; where a blank at an end must be escaped, all blanks are.

    >>> escape("a;b\n ")
    'a\\;b\\n\\ '
    """
    written = [written_character(character, specials=specials) for character in text]
    if text and (written[0].isspace() or written[-1].isspace()):
        written = [f"\\{one}" if one.isspace() else one for one in written]
    return "".join(written)


def written_character(character: str, *, specials: str = MENTION_SPECIALS) -> str:
    """A character as it is written between others."""
    if character in "\n\r":
        return "\\n" if character == "\n" else "\\r"
    return f"\\{character}" if character in specials else character


def units(text: str) -> list[Unit]:
    """Characters with their escapes resolved; a backslash at the very end stands for itself."""
    found: list[Unit] = []
    characters = iter(text)
    for character in characters:
        if character != "\\":
            found.append((character, False))
            continue
        escaped = next(characters, "\\")
        found.append((_NAMED.get(escaped, escaped), True))
    return found


def plain(part: Sequence[Unit]) -> str:
    """The text of some units."""
    return "".join(character for character, _ in part)


def split(part: Sequence[Unit], separator: str, *, limit: int = -1) -> list[list[Unit]]:
    """The stretches between unescaped separators, at most ``limit`` cuts, without the blanks around them."""
    stretches: list[list[Unit]] = [[]]
    for unit in part:
        if unit == (separator, False) and (limit < 0 or len(stretches) <= limit):
            stretches.append([])
        else:
            stretches[-1].append(unit)
    return [strip(stretch) for stretch in stretches]


def strip(part: Sequence[Unit]) -> list[Unit]:
    """Without the unescaped white space at both ends."""
    start, end = 0, len(part)
    while start < end and _blank(part[start]):
        start += 1
    while end > start and _blank(part[end - 1]):
        end -= 1
    return list(part[start:end])


def answer_items(answer: str) -> list[list[Unit]]:
    """The items of an answer; none for the word that says there is nothing."""
    read = strip(units(answer))
    if plain(read).rstrip(". ").casefold() == NOTHING:
        return []
    # An empty answer is one item that cannot be read: silence is not the answer "none".
    return [item for item in split(read, ";") if item] or [[]]


def item_ranges(answer: str) -> list[tuple[int, int]]:
    """Where the items of :func:`answer_items` stand in an answer: half-open, without the blanks around them.

    >>> item_ranges("drug: a; dose: 5 mg")
    [(0, 7), (9, 19)]
    """
    if not answer_items(answer):
        return []
    ends, at = [], 0
    while at < len(answer):
        if answer[at] == ";":
            ends.append(at)
        at += 1 + (answer[at] == "\\")
    found = []
    for start, end in zip([0, *(end + 1 for end in ends)], [*ends, len(answer)], strict=True):
        part = answer[start:end]
        if strip(units(part)):
            found.append((start + len(part) - len(part.lstrip()), end - len(part) + len(part.rstrip())))
    return found or [(0, len(answer))]


def readings(item: list[Unit]) -> Iterator[list[Unit]]:
    """The item as written, then without its final full stop, for models that end answers like sentences."""
    yield item
    if item and item[-1] == (".", False):
        yield strip(item[:-1])


def write_mention(mention: Mention, *, specials: str = MENTION_SPECIALS) -> str:
    """A mention in an item: its fragments joined by `` | ``, each with `` #k`` where it needs one."""
    return " | ".join(
        escape(part.words, specials=specials) + (f" #{part.occurrence}" if part.occurrence else "") for part in mention
    )


def read_mention(part: Sequence[Unit]) -> Mention | None:
    """The mention that is written there, ``None`` when one of its fragments has no words."""
    parts = tuple(_read_part(fragment) for fragment in split(part, "|"))
    return None if any(not part.words for part in parts) else parts


def _read_part(fragment: list[Unit]) -> Part:
    if ("#", False) in fragment:
        mark = len(fragment) - 1 - fragment[::-1].index(("#", False))
        digits = plain(strip(fragment[mark + 1 :]))
        if digits.isascii() and digits.isdigit() and len(digits) <= _MAX_DIGITS:
            return Part(plain(strip(fragment[:mark])), int(digits))
    return Part(plain(fragment))


def _blank(unit: Unit) -> bool:
    character, escaped = unit
    return character.isspace() and not escaped
