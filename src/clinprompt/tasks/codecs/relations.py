"""Relations as text: ``strength of: 80 mg > aspirin``, or ``none``."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field

from clinprompt.errors import InputError
from clinprompt.schema.document import Fragment, Relation
from clinprompt.schema.example import Answer, Example
from clinprompt.schema.prediction import DecodeReport, Prediction
from clinprompt.tasks.codecs.entities import Place, numbered, text_order
from clinprompt.tasks.codecs.item_form import ItemForm, ItemShape
from clinprompt.tasks.codecs.items import (
    MENTION_SPECIALS,
    NOTHING,
    WORD_SPECIALS,
    Unit,
    answer_items,
    escape,
    plain,
    read_mention,
    readings,
    split,
    write_mention,
)
from clinprompt.tasks.codecs.wording import Wording
from clinprompt.tasks.grounding import Grounder, Located, Mention
from clinprompt.tasks.task import Task

END_SPECIALS = MENTION_SPECIALS + ">="

Link = tuple[str, Place, Place]
"""A relation by what it says: its label, the place of its head, the place of its tail."""


@dataclass(slots=True)
class _Walk:
    """Where encoder and decoder stand: heads are looked for from the last head on, tails from their head."""

    grounder: Grounder
    start: int = 0
    tails: dict[tuple[str, Place, str], set[tuple[Fragment, ...]]] = field(default_factory=lambda: defaultdict(set))

    def taken(self, label: str, head: Place, tail_label: str) -> set[tuple[Fragment, ...]]:
        """The places that are the tail of this relation with this head already."""
        return self.tails[(label, head, tail_label)]

    def step(self, link: Link) -> None:
        label, head, (tail_label, tail_fragments) = link
        self.tails[(label, head, tail_label)].add(tail_fragments)
        self.start = head[1][0][0]


class RelationsCodec:
    """Items ``words: head > tail`` by place of head then tail; an end of several types names its own."""

    def encode(self, example: Example, task: Task) -> str:
        """The gold relations as items; raises :class:`InputError` for one outside the task's schema."""
        links = sorted(gold_links(example.answer), key=_link_order)
        walk = _Walk(Grounder(example.note))
        items: list[str] = []
        for link in links:
            check_link(link, example, task)
            label, head, tail = link
            schema = task.relations[label]
            head_mention = walk.grounder.mention(head[1], start=walk.start)
            tail_mention = walk.grounder.mention(tail[1], start=head[1][0][0], taken=walk.taken(label, head, tail[0]))
            ends = (
                _write_end(head[0], head_mention, schema.head, task),
                _write_end(tail[0], tail_mention, schema.tail, task),
            )
            items.append(f"{escape(task.words(label), specials=WORD_SPECIALS)}: {ends[0]} > {ends[1]}")
            walk.step(link)
        return "; ".join(items) or NOTHING

    def options(self, example: Example, task: Task) -> None:
        """No closed list: any text may be right."""

    def form(self, example: Example, task: Task) -> ItemForm:
        """Relations of the task between words of the note, each end of a type that the relation may have there."""
        shapes = [
            ItemShape(task.words(label), (_written_types(schema.head, task), _written_types(schema.tail, task)))
            for label, schema in task.relations.items()
        ]
        return ItemForm(example.note, shapes, specials=END_SPECIALS)

    def decode(self, answer: str, example: Example, task: Task) -> Prediction:
        """The relations that the text names, with spans for their ends; never raises."""
        walk, wording = _Walk(Grounder(example.note)), Wording(task.relations, task)
        report, links = DecodeReport(), set()
        for item in answer_items(answer):
            readable, link, ambiguous = _read(item, walk, wording, task)
            report += DecodeReport(
                items=1, unreadable=not readable, unlocated=readable and link is None, ambiguous=ambiguous
            )
            if link is not None:
                links.add(link)
                walk.step(link)
        return Prediction(example=example.id, answer=linked(links), report=report, raw=answer)


def gold_links(answer: Answer) -> set[Link]:
    """The relations of an answer by label and places instead of span ids."""
    places = {span.id: span.key for span in answer.spans}
    return {(relation.label, places[relation.head], places[relation.tail]) for relation in answer.relations}


def linked(links: set[Link]) -> Answer:
    """An answer with the spans of all ends, each once, and the relations between them."""
    spans = numbered({place: {} for _, head, tail in links for place in (head, tail)})
    ids = {span.key: span.id for span in spans}
    relations = tuple(
        Relation(label=label, head=ids[head], tail=ids[tail], id=f"r{number}")
        for number, (label, head, tail) in enumerate(sorted(links, key=_link_order), start=1)
    )
    return Answer(spans=spans, relations=relations)


def _link_order(link: Link) -> tuple[object, ...]:
    label, head, tail = link
    return (text_order(head), text_order(tail), label)


def check_link(link: Link, example: Example, task: Task) -> None:
    """Raise :class:`InputError` unless a relation and the labels of its ends are those of the task."""
    label, head, tail = link
    where = f"example {example.id}, characters {head[1][0][0]} and {tail[1][0][0]}"
    if label not in task.relations:
        raise InputError(
            f"the relation {label!r} is not one of task {task.name}",
            where=where,
            allowed=", ".join(task.relations),
        )
    schema = task.relations[label]
    for end, place, allowed in (("head", head, schema.head), ("tail", tail, schema.tail)):
        if place[0] not in allowed:
            raise InputError(
                f"the {end} of a relation {label!r} has the label {place[0]!r}",
                where=where,
                allowed=", ".join(allowed),
                fix="add it to the relation in the task file or drop the relation",
            )


def _written_types(allowed: tuple[str, ...], task: Task) -> tuple[str, ...]:
    """The words of an end's types; none where there is one type only, which is not written."""
    return tuple(task.words(label) for label in allowed) if len(allowed) > 1 else ()


def _write_end(label: str, mention: Mention, allowed: tuple[str, ...], task: Task) -> str:
    words = f"{escape(task.words(label), specials=WORD_SPECIALS)}=" if len(allowed) > 1 else ""
    return words + write_mention(mention, specials=END_SPECIALS)


def _read_end(end: list[Unit], allowed: tuple[str, ...], task: Task) -> tuple[str, Mention] | None:
    """The label and mention of one end, ``None`` when it has not the form."""
    words, *rest = split(end, "=", limit=1)
    label = Wording(allowed, task).label(plain(words)) if rest else None
    if label is not None:
        mention = read_mention(rest[0])
    else:
        label, mention = (allowed[0], read_mention(end)) if len(allowed) == 1 else (None, None)
    return None if label is None or mention is None else (label, mention)


def _read(item: list[Unit], walk: _Walk, wording: Wording, task: Task) -> tuple[bool, Link | None, bool]:
    """Whether the item has the form, the link if both ends are in the note, whether one is ambiguous."""
    readable = False
    for reading in readings(item):
        words, *rest = split(reading, ":", limit=1)
        label = wording.label(plain(words)) if rest else None
        sides = split(rest[0], ">") if rest else []
        if label is None or len(sides) != 2:
            continue
        schema = task.relations[label]
        ends = (_read_end(sides[0], schema.head, task), _read_end(sides[1], schema.tail, task))
        if ends[0] is None or ends[1] is None:
            continue
        readable = True
        (head_label, head_mention), (tail_label, tail_mention) = ends
        head = walk.grounder.locate(head_mention, start=walk.start)
        tail: Located | None = None
        if head is not None:
            head_place = (head_label, head.fragments)
            taken = walk.taken(label, head_place, tail_label)
            tail = walk.grounder.locate(tail_mention, start=head.fragments[0][0], taken=taken)
        if head is not None and tail is not None:
            link = (label, (head_label, head.fragments), (tail_label, tail.fragments))
            return True, link, head.ambiguous or tail.ambiguous
    return readable, None, False


RELATIONS = RelationsCodec()
