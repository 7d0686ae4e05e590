"""The form of an answer: the texts that a codec reads without fault, as grammars for constrained writing.

Grammars are in the Lark dialect of llguidance. Words copied from a note are substrings of it by construction
(``%regex {"substring_chunks": …}``, one chunk per character as the codec writes it).
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

BLANKS = (
    "\t\n\x0b\x0c\r\x1c\x1d\x1e\x1f \x85\xa0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a"
    "\u2028\u2029\u202f\u205f\u3000"
)
"""Every character that Python calls white space, which is what codecs strip."""
_BLANK = "".join(f"\\x{{{ord(character):x}}}" for character in BLANKS)
_NO_BLANK_ENDS = f"/[^{_BLANK}]((?s:.)*[^{_BLANK}])?/"
_ESCAPED_BLANK_END = f"/\\\\[{_BLANK}](?s:.)*|(?s:.)*[{_BLANK}]/"


class Form(Protocol):
    """Which texts may be an answer to one example."""

    def grammar(self, joint: str) -> str:
        """The grammar of answers behind ``joint``, the text that stands between the cue and an answer."""
        ...

    def after(self, written: str) -> str | None:
        """The grammar of what may follow ``written``, the text without the joint at which the grammar before ended.

        ``None`` where the answer is at its end. So a form can let what may come depend on what was written.
        """
        ...


@dataclass(frozen=True, slots=True)
class OneOf:
    """One of several texts."""

    texts: tuple[str, ...]

    def grammar(self, joint: str) -> str:
        """The texts themselves."""
        return "start: " + alternatives([joint + text for text in self.texts])

    def after(self, written: str) -> None:
        """Nothing follows."""


@dataclass(frozen=True, slots=True)
class Excerpt:
    """Words of the note, character for character, without blanks at their ends; or one of the texts ``other``."""

    note: str
    other: tuple[str, ...] = ()

    def grammar(self, joint: str) -> str:
        """A substring or another text."""
        words = excerpts("WORDS", list(self.note))
        start = "start: " + (f"{literal(joint)} " if joint else "")
        return f"{start}({alternatives([*(['WORDS'] if words else []), *map(literal, self.other)], raw=True)})\n{words}"

    def after(self, written: str) -> None:
        """Nothing follows."""


def literal(text: str) -> str:
    """A text as a Lark string."""
    return json.dumps(text, ensure_ascii=False)


def alternatives(texts: Sequence[str], *, raw: bool = False) -> str:
    """Any of these texts, or (``raw``) any of these pieces of grammar."""
    return " | ".join(dict.fromkeys(texts if raw else map(literal, texts)))


def excerpts(name: str, chunks: Sequence[str], *, escaped: bool = False) -> str:
    r"""Terminals for what can be quoted of a note whose characters are written as ``chunks``; empty for no characters.

    A quotation has no bare blank at its ends. With ``escaped`` it may have an escaped one (``\ ``) there; then all its
    blanks are escaped, as :func:`clinprompt.tasks.codecs.items.escape` writes it.
    """
    lines, kinds = [], []
    if any(chunk not in BLANKS for chunk in chunks):
        kinds.append(f"{name}_PLAIN")
        lines += [f"{name}_PLAIN: {name}_RUN & {_NO_BLANK_ENDS}", f"{name}_RUN: {_substring(chunks)}"]
    if escaped and any(chunk in BLANKS for chunk in chunks):
        guarded = [f"\\{chunk}" if chunk in BLANKS else chunk for chunk in chunks]
        kinds.append(f"{name}_GUARDED")
        lines += [f"{name}_GUARDED: {name}_GUARDED_RUN & {_ESCAPED_BLANK_END}"]
        lines += [f"{name}_GUARDED_RUN: {_substring(guarded)}"]
    return "\n".join([f"{name}: {' | '.join(kinds)}", *lines, ""]) if kinds else ""


def _substring(chunks: Sequence[str]) -> str:
    return f"%regex {json.dumps({'substring_chunks': list(chunks)})}"
