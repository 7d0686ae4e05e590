"""The form of answers made of items with mentions: every mention a quotation that the locator will find.

A grammar by itself cannot know which part of the note stands behind a fragment, nor how often its words occur. So it
ends after the sign that begins a further fragment (`` |``) or an occurrence mark (`` #``), and the next grammar is made
from what was written: fragments go forward in the note, and an occurrence that is named exists.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from clinprompt.tasks.codecs.items import (
    MENTION_SPECIALS,
    NOTHING,
    WORD_SPECIALS,
    Unit,
    escape,
    plain,
    read_mention,
    strip,
    units,
    written_character,
)
from clinprompt.tasks.codecs.items import split as cut
from clinprompt.tasks.form import alternatives, excerpts, literal
from clinprompt.tasks.grounding import Grounder, Mention


@dataclass(frozen=True, slots=True)
class ItemShape:
    """One kind of item: its words, then its mentions, each behind one of the words of its types.

    ``types`` holds one tuple per mention, empty where the type is not written.
    """

    words: str
    types: tuple[tuple[str, ...], ...] = ((),)


@dataclass(frozen=True, slots=True)
class _Pause:
    """Where a text stops: which mention of which shape, its whole fragments so far, and the words before a ``#``."""

    shape: ItemShape
    slot: int
    before: Mention
    words: str | None


class ItemForm:
    """``none``, or items of some shapes joined by ``; ``, whose mentions are quotations of one note."""

    def __init__(self, note: str, shapes: Sequence[ItemShape], *, specials: str = MENTION_SPECIALS) -> None:
        self.grounder = Grounder(note)
        self.chunks = [written_character(character, specials=specials) for character in note]
        groups: dict[tuple[tuple[str, ...], ...], list[str]] = {}
        for shape in shapes:
            groups.setdefault(shape.types, []).append(shape.words)
        self.groups = list(groups.items())
        self.shapes: dict[str, ItemShape] = {}
        for shape in shapes:
            self.shapes.setdefault(shape.words, shape)

    def grammar(self, joint: str) -> str:
        """The grammar of a whole answer, up to the first pause."""
        start = f"start: {literal(joint)} " if joint else "start: "
        if not self.chunks:
            return start + literal(NOTHING)
        return f"{start}({literal(NOTHING)} | items)\n{self._common()}"

    def after(self, written: str) -> str | None:
        """The grammar behind a pause; ``None`` at the end of an answer."""
        pause = self._pause(written)
        if pause is None:
            return None
        rest = self._rest(pause)
        if pause.words is None:
            begin = self.grounder.earliest_end(pause.before) or 0
            start = f'start: " " ({_slot("NEXT", pause.shape, pause.slot, rest)})'
            return f"{start}\n{self._quotations('NEXT', self.chunks[begin:])}{self._common()}"
        places = self.grounder.occurrences(pause.before, pause.words)
        numbers = [str(number) for number, _ in places]
        further = [str(number) for number, (_, end) in places if end < len(self.grounder.note)]
        stops = [f'({alternatives(further)}) " |"'] if further else []
        behind = rest if pause.slot + 1 == len(pause.shape.types) else f'" > " {rest}'
        start = f"start: {alternatives([f'({alternatives(numbers)}) {behind}', *stops], raw=True)}"
        return f"{start}\n{self._common()}"

    def _common(self) -> str:
        """Items, each ended or paused, and the quotations in them."""
        whole = alternatives([f"item_{i}" for i in range(len(self.groups))], raw=True)
        paused = alternatives([f"paused_{i}" for i in range(len(self.groups))], raw=True)
        lines = [f'items: (item "; ")* (item | {paused})', f"item: {whole}"]
        for i, (types, words) in enumerate(self.groups):
            leads = [f"{escape(one, specials=WORD_SPECIALS)}: {first}" for one in words for first in _types(types[0])]
            opening = f"({alternatives(leads)})"
            middles = [f" WORDS_ON {_lead(later)}" for later in types[1:]]
            lines.append(f"item_{i}: {opening}{''.join(middles)} WORDS")
            reached = [opening + "".join(middles[:slot]) for slot in range(len(types))]
            lines.append(f"paused_{i}: {alternatives([f'{one} WORDS_STOP' for one in reached], raw=True)}")
        return "\n".join(lines) + "\n" + self._quotations("WORDS", self.chunks)

    def _quotations(self, name: str, chunks: Sequence[str]) -> str:
        """Terminals: a quotation, one with the sign of a further mention, one with the sign of a pause.

        The signs are part of the terminal because they begin with a blank, which could also be a quotation's next
        character. Behind the last character of the note there is no further fragment.
        """
        short = excerpts(f"{name}_SHORT", chunks[:-1], escaped=True)
        further = f' | {name}_SHORT " |"' if short else ""
        lines = [f'{name}_ON: {name} " > "', f'{name}_STOP: {name} " #"{further}']
        return "\n".join(lines) + "\n" + excerpts(name, chunks, escaped=True) + short

    def _rest(self, pause: _Pause) -> str:
        """What may follow a mention that was paused: the item's further mentions, then further items."""
        more = '("; " items)?'
        for slot in range(len(pause.shape.types) - 1, pause.slot, -1):
            more = f"{_lead(pause.shape.types[slot])} ({_slot('WORDS', pause.shape, slot, more)})"
        return more

    def _pause(self, written: str) -> _Pause | None:
        text = units(written)
        sign = text[-1] if text else ("", False)
        if sign not in (("|", False), ("#", False)):
            return None
        item = cut(text, ";")[-1]
        words, content = cut(item, ":", limit=1)
        shape = self.shapes[plain(words)]
        ends = cut(content, ">") if len(shape.types) > 1 else [content]
        slot = len(ends) - 1
        mention: list[Unit] = ends[slot]
        if shape.types[slot]:
            mention = cut(mention, "=", limit=1)[1]
        if sign == ("|", False):
            return _Pause(shape, slot, read_mention(mention[:-1]) or (), None)
        bar = max((i for i, unit in enumerate(mention) if unit == ("|", False)), default=-1)
        before = (read_mention(mention[:bar]) or ()) if bar >= 0 else ()
        return _Pause(shape, slot, before, plain(strip(mention[bar + 1 : -1])))


def _slot(name: str, shape: ItemShape, slot: int, rest: str) -> str:
    """A mention's words and what follows them, or a pause."""
    words = name if slot + 1 == len(shape.types) else f"{name}_ON"
    return f"{words} {rest} | {name}_STOP"


def _types(words: tuple[str, ...]) -> list[str]:
    return [f"{escape(one, specials=WORD_SPECIALS)}=" for one in words] or [""]


def _lead(words: tuple[str, ...]) -> str:
    """The types in front of a mention as a piece of grammar; nothing where none is written."""
    return f"({alternatives(_types(words))})" if words else ""
