"""Pretraining instructions whose answers list entities or relations, and the steps that lead there."""

from __future__ import annotations

import random
import re
from dataclasses import replace

from clinprompt.backbones.embedded.turn import Turn
from clinprompt.backbones.embedded.wording import LABELS, RELATIONS, clause, plain, renamed
from clinprompt.schema.document import Document, Relation, Span
from clinprompt.schema.example import Answer, Example, TaskKind
from clinprompt.tasks.codecs.entities import EntitiesCodec
from clinprompt.tasks.codecs.relations import RelationsCodec
from clinprompt.tasks.task import RelationSchema, Task

_VERBS = ("extract", "extract", "extract", "list", "find", "tag")
_LINKS = ("link", "link", "pair", "relate")
_UNNAMED = {"name": "pretraining", "instruction": "pretraining", "metrics": ("exact-match",)}


def mention_text(note: Document, span: Span) -> str:
    """A mention in the surface form of the codecs: fragments joined by a bar."""
    return " | ".join(note.text[start:end] for start, end in span.fragments)


def in_order(spans: list[Span]) -> list[Span]:
    """Text order; where two begin together the longer one first."""
    return sorted(spans, key=lambda span: (span.start, -span.end))


def entities(note: Document, rng: random.Random) -> Turn | None:
    """All mentions of one to four labels, some renamed."""
    present = sorted({span.label for span in note.spans})
    chosen = rng.sample(present, min(rng.choice((1, 1, 1, 2, 2, 2, 3, 3, 4)), len(present)))
    if rng.random() < 0.12:
        chosen.append(rng.choice([label for label in LABELS if label not in present] or present))
    chosen = list(dict.fromkeys(chosen))
    words = {label: renamed(rng, plain(label), LABELS[label]) for label in chosen}
    if len(set(words.values())) < len(words):
        return None
    asked = ", ".join(clause(plain(label), words[label]) for label in chosen)
    task = Task(kind=TaskKind.entities, codec="entities", labels=tuple(words), verbalizer=words, **_UNNAMED)
    answer = Answer(spans=tuple(span for span in note.spans if span.label in words))
    return _numberless("ner", f"{rng.choice(_VERBS)} {asked}.", EntitiesCodec().encode(_example(note, answer), task))


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
    schemas = {label: RelationSchema(head=RELATIONS[label][:1], tail=RELATIONS[label][1:2]) for label in chosen}
    linked = tuple(relation for relation in note.relations if relation.label in words)
    return _numberless("re", f"{rng.choice(_LINKS)} {asked}.", _encode_relations(note, linked, schemas, words))


def _pair_clause(label: str, words: str) -> str:
    head, tail, _ = RELATIONS[label]
    pair = f"{head} to {tail}"
    return pair if words == tail else f"{pair} as {words}"


def mixed_tails(note: Document, rng: random.Random) -> Turn | None:
    """A relation whose tail may have two labels: the tail then names its label."""
    pair = rng.choice(
        (("dose", "route"), ("dose", "frequency"), ("reason", "dose"), ("value", "flag"), ("side", "size"))
    )
    if not all(any(relation.label == label for relation in note.relations) for label in pair):
        return None
    head, word = RELATIONS[pair[0]][0], rng.choice(("detail", "attribute", "about"))
    schemas = {word: RelationSchema(head=(head,), tail=pair)}
    linked = tuple(replace(relation, label=word) for relation in note.relations if relation.label in pair)
    answer = _encode_relations(note, linked, schemas, {})
    return _numberless("re", f"link {head} to {pair[0]} or {pair[1]} as {word}.", answer)


def _encode_relations(
    note: Document, linked: tuple[Relation, ...], schemas: dict[str, RelationSchema], words: dict[str, str]
) -> str:
    labels = tuple(dict.fromkeys(end for schema in schemas.values() for end in (*schema.head, *schema.tail)))
    kind = TaskKind.relations
    task = Task(kind=kind, codec="relations", labels=labels, relations=schemas, verbalizer=words, **_UNNAMED)
    return RelationsCodec().encode(_example(note, Answer(spans=note.spans, relations=linked)), task)


def _example(note: Document, answer: Answer) -> Example:
    return Example(id=note.id, inputs={"note": note.text}, answer=answer, group=note.group)


def _numberless(kind: str, instruction: str, answer: str) -> Turn | None:
    # Answers that must number an occurrence are left out: they would teach counting before copying is there.
    return None if re.search(r"#\d", answer) else Turn(kind, instruction, answer)
