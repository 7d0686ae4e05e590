"""Pretraining instructions whose answers list entities or relations, and the steps that lead there."""

from __future__ import annotations

import random
import re

from clinprompt.backbones.embedded.turn import Turn
from clinprompt.backbones.embedded.wording import LABELS, RELATIONS, clause, plain, renamed
from clinprompt.schema.document import Document, Span

_VERBS = ("extract", "extract", "extract", "list", "find", "tag")


def mention_text(note: Document, span: Span) -> str:
    """A mention in the surface form of the codecs: fragments joined by a bar."""
    return " | ".join(note.text[start:end] for start, end in span.fragments)


def in_order(spans: list[Span]) -> list[Span]:
    """Text order; where two begin together the longer one first."""
    return sorted(spans, key=lambda span: (span.start, -span.end))


def entities(note: Document, rng: random.Random) -> Turn | None:
    """All mentions of one to four labels, some renamed."""
    present = sorted({span.label for span in note.spans})
    chosen = rng.sample(present, min(rng.choice((1, 2, 2, 2, 3, 3, 4)), len(present)))
    if rng.random() < 0.12:
        chosen.append(rng.choice([label for label in LABELS if label not in present] or present))
    chosen = list(dict.fromkeys(chosen))
    words = {label: renamed(rng, plain(label), LABELS[label]) for label in chosen}
    if len(set(words.values())) < len(words):
        return None
    asked = ", ".join(clause(plain(label), words[label]) for label in chosen)
    items = [f"{words[s.label]}: {mention_text(note, s)}" for s in in_order(list(note.spans)) if s.label in words]
    return Turn("ner", f"{rng.choice(_VERBS)} {asked}.", "; ".join(items) or "none")


def following(note: Document, rng: random.Random) -> Turn | None:
    """The next mention of a label after a given one: the step that lists are made of."""
    label = rng.choice(sorted({span.label for span in note.spans}))
    chain = [mention_text(note, span) for span in in_order([s for s in note.spans if s.label == label])]
    if len(set(chain)) < len(chain):
        return None
    index = rng.randrange(len(chain))
    after = chain[index + 1] if index + 1 < len(chain) else "none"
    if rng.random() < 0.3:
        return Turn("qa", f"first {plain(label)}?", chain[0])
    return Turn("qa", f"next {plain(label)}?", after, question=chain[index])


def label_of(note: Document, rng: random.Random) -> Turn | None:
    """Which label a mention has."""
    span = rng.choice(note.spans)
    text = mention_text(note, span)
    if sum(mention_text(note, other) == text for other in note.spans) > 1:
        return None
    return Turn("qa", rng.choice(("what kind of thing is it?", "name the label.")), plain(span.label), question=text)


def relations(note: Document, rng: random.Random) -> Turn | None:
    """Pairs of one or two relations, ordered by head and tail."""
    present = sorted({relation.label for relation in note.relations})
    if not present:
        return None
    chosen = rng.sample(present, min(rng.choice((1, 1, 1, 2)), len(present)))
    if rng.random() < 0.1:
        chosen = [rng.choice(sorted(RELATIONS))]
    words = {label: renamed(rng, label, RELATIONS[label][2]) for label in chosen}
    if len(set(words.values())) < len(words):
        return None
    asked = ", ".join(_pair_clause(label, words[label]) for label in chosen)
    verb = rng.choice(("link", "link", "pair", "relate"))
    return Turn("re", f"{verb} {asked}.", "; ".join(_pairs(note, words)) or "none")


def _pair_clause(label: str, words: str) -> str:
    head, tail, _ = RELATIONS[label]
    pair = f"{head} to {tail}"
    return pair if words == tail else f"{pair} as {words}"


def _pairs(note: Document, words: dict[str, str]) -> list[str]:
    rows = [(note.span(r.head), note.span(r.tail), words[r.label]) for r in note.relations if r.label in words]
    rows.sort(key=lambda row: (row[0].start, row[1].start))
    return [f"{word}: {mention_text(note, head)} > {mention_text(note, tail)}" for head, tail, word in rows]


def mixed_tails(note: Document, rng: random.Random) -> Turn | None:
    """A relation whose tail may have two labels: the tail then names its label."""
    pair = rng.choice((("dose", "route"), ("dose", "frequency"), ("reason", "dose"), ("value", "flag"), ("side", "size")))
    if not all(any(relation.label == label for relation in note.relations) for label in pair):
        return None
    head, word = RELATIONS[pair[0]][0], rng.choice(("detail", "attribute", "about"))
    rows = [(note.span(r.head), note.span(r.tail)) for r in note.relations if r.label in pair]
    rows.sort(key=lambda row: (row[0].start, row[1].start))
    items = [f"{word}: {mention_text(note, h)} > {plain(t.label)}={mention_text(note, t)}" for h, t in rows]
    return Turn("re", f"link {head} to {pair[0]} or {pair[1]} as {word}.", "; ".join(items))


def needs_occurrence(note: Document, turn: Turn) -> bool:
    """True when a mention of the answer stands in the note more often than in the answer.

    The codecs then number the occurrence; such turns are left out, they would teach counting.
    """
    if turn.kind not in ("ner", "re"):
        return False
    for item in turn.answer.split("; "):
        for mention in re.split(r" > | \| ", item.partition(": ")[2]):
            words = mention.rpartition("=")[2]
            pattern = rf"(?<!\w){re.escape(words)}(?!\w)"
            if words and len(re.findall(pattern, note.text)) > len(re.findall(pattern, turn.answer)):
                return True
    return False
