"""Relations as text: ``strength of: 80 mg > aspirin``, with attributes ``is: smoker > status, past=quit``."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field

from clinprompt.errors import InputError
from clinprompt.schema.document import Fragment, Relation, Span
from clinprompt.schema.example import Answer, Example
from clinprompt.schema.prediction import DecodeReport, Prediction
from clinprompt.tasks.codecs.entities import Forms, Place, asked_of, text_order, words_of
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

End = tuple[str, tuple[Fragment, ...], tuple[tuple[str, str], ...]]
"""An end of a relation by what it says: label, exact fragments, and the attributes that the task asks for, sorted."""
Link = tuple[str, End, End]
"""A relation by what it says: its label, its head, its tail."""
Kind = tuple[str, tuple[tuple[str, str], ...]]
"""An end without its place."""


@dataclass(slots=True)
class _Walk:
    """Where encoder and decoder stand: heads are looked for from the last head on, tails from their head."""

    grounder: Grounder
    start: int = 0
    tails: dict[tuple[str, End, Kind], set[tuple[Fragment, ...]]] = field(default_factory=lambda: defaultdict(set))

    def taken(self, label: str, head: End, tail: Kind) -> set[tuple[Fragment, ...]]:
        """The places that are the tail of this relation with this head already."""
        return self.tails[(label, head, tail)]

    def step(self, link: Link) -> None:
        label, head, (tail_label, tail_fragments, tail_said) = link
        self.taken(label, head, (tail_label, tail_said)).add(tail_fragments)
        self.start = head[1][0][0]


class RelationsCodec:
    """Items ``words: head > tail`` by place of head then tail; an end of several types names its own.

    Where the task has attributes, a type is a label with one choice of them, as in the codec of entities.
    """

    def encode(self, example: Example, task: Task) -> str:
        """The gold relations as items; raises :class:`InputError` for one outside the task's schema."""
        links = sorted(gold_links(example.answer, task), key=_link_order)
        walk, forms = _Walk(Grounder(example.note)), task.forms()
        items: list[str] = []
        for link in links:
            check_link(link, example, task)
            label, head, tail = link
            schema = task.relations[label]
            head_mention = walk.grounder.mention(head[1], start=walk.start)
            taken = walk.taken(label, head, (tail[0], tail[2]))
            tail_mention = walk.grounder.mention(tail[1], start=head[1][0][0], taken=taken)
            ends = (
                _write_end(words_of(_span(head), forms, example, task), head_mention, _types(schema.head, forms)),
                _write_end(words_of(_span(tail), forms, example, task), tail_mention, _types(schema.tail, forms)),
            )
            items.append(f"{escape(task.words(label), specials=WORD_SPECIALS)}: {ends[0]} > {ends[1]}")
            walk.step(link)
        return "; ".join(items) or NOTHING

    def options(self, example: Example, task: Task) -> None:
        """No closed list: any text may be right."""

    def form(self, example: Example, task: Task) -> ItemForm:
        """Relations of the task between words of the note, each end of a type that the relation may have there."""
        forms = task.forms()
        shapes = [
            ItemShape(task.words(label), (_written(_types(schema.head, forms)), _written(_types(schema.tail, forms))))
            for label, schema in task.relations.items()
        ]
        return ItemForm(example.note, shapes, specials=END_SPECIALS)

    def decode(self, answer: str, example: Example, task: Task) -> Prediction:
        """The relations that the text names, with spans for their ends; never raises."""
        walk, wording, forms = _Walk(Grounder(example.note)), Wording(task.relations, task), task.forms()
        report, links, unsure = DecodeReport(), set[Link](), set[End]()
        said: dict[Link | End, int] = {}
        for number, item in enumerate(answer_items(answer)):
            readable, link, doubtful = _read(item, walk, wording, forms, task)
            again = link in links
            report += DecodeReport(
                items=1, unreadable=not readable, unlocated=readable and link is None,
                ambiguous=bool(doubtful) and not again, repeated=again,
            )  # fmt: skip
            if link is not None and not again:
                unsure |= doubtful
                links.add(link)
                for one in (link, *link[1:]):
                    said.setdefault(one, number)
                walk.step(link)
        found = linked(links)
        ambiguous = tuple(span.id for span in found.spans if end_of(span, span.attributes) in unsure)
        items = {span.id: said[end_of(span, span.attributes)] for span in found.spans}
        items |= {one.id: said[link] for one, link in zip(found.relations, sorted(links, key=_link_order), strict=True)}
        return Prediction(example.id, found, report, answer, ambiguous, items)


def gold_links(answer: Answer, task: Task) -> set[Link]:
    """The relations of an answer by label and what their ends say instead of span ids."""
    ends = {span.id: end_of(span, asked_of(span, task)) for span in answer.spans}
    return {(relation.label, ends[relation.head], ends[relation.tail]) for relation in answer.relations}


def linked(links: set[Link]) -> Answer:
    """An answer with the spans of all ends, each once, and the relations between them.

    Mentions of the same words with other attributes are spans of their own.
    """
    ends = sorted({end for _, head, tail in links for end in (head, tail)}, key=_end_order)
    ids = {end: f"e{number}" for number, end in enumerate(ends, start=1)}
    spans = tuple(_span(end, id=ids[end]) for end in ends)
    relations = tuple(
        Relation(label=label, head=ids[head], tail=ids[tail], id=f"r{number}")
        for number, (label, head, tail) in enumerate(sorted(links, key=_link_order), start=1)
    )
    return Answer(spans=spans, relations=relations)


def _link_order(link: Link) -> tuple[object, ...]:
    label, head, tail = link
    return (_end_order(head), _end_order(tail), label)


def _end_order(end: End) -> tuple[object, ...]:
    label, fragments, said = end
    place: Place = (label, fragments)
    return (*text_order(place), said)


def end_of(span: Span, said: Mapping[str, str]) -> End:
    """A mention as the end of a relation, with these values of its attributes."""
    return (*span.key, tuple(sorted(said.items())))


def _span(end: End, *, id: str = "") -> Span:
    label, fragments, said = end
    return Span(label=label, fragments=fragments, id=id, attributes=dict(said))


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


def _types(allowed: tuple[str, ...], forms: Forms) -> tuple[str, ...]:
    """Every way to name the type of an end: the words of its labels, with each choice of their attributes."""
    return tuple(words for words, (label, _) in forms.items() if label in allowed)


def _written(types: tuple[str, ...]) -> tuple[str, ...]:
    """The types as they are written: not at all where there is only one."""
    return types if len(types) > 1 else ()


def _write_end(type_: str, mention: Mention, types: tuple[str, ...]) -> str:
    words = f"{escape(type_, specials=WORD_SPECIALS)}=" if _written(types) else ""
    return words + write_mention(mention, specials=END_SPECIALS)


def _read_end(end: list[Unit], types: tuple[str, ...]) -> tuple[str, Mention] | None:
    """The type and mention of one end, ``None`` when it has not the form."""
    words, *rest = split(end, "=", limit=1)
    type_ = Wording(types).label(plain(words)) if rest else None
    if type_ is not None:
        mention = read_mention(rest[0])
    else:
        type_, mention = (types[0], read_mention(end)) if len(types) == 1 else (None, None)
    return None if type_ is None or mention is None else (type_, mention)


def _read(
    item: list[Unit], walk: _Walk, wording: Wording, forms: Forms, task: Task
) -> tuple[bool, Link | None, set[End]]:
    """Whether the item has the form, the link if both ends are in the note, those of its ends that are ambiguous."""
    readable = False
    for reading in readings(item):
        words, *rest = split(reading, ":", limit=1)
        label = wording.label(plain(words)) if rest else None
        sides = split(rest[0], ">") if rest else []
        if label is None or len(sides) != 2:
            continue
        schema = task.relations[label]
        ends = (_read_end(sides[0], _types(schema.head, forms)), _read_end(sides[1], _types(schema.tail, forms)))
        if ends[0] is None or ends[1] is None:
            continue
        readable = True
        (head_type, head_mention), (tail_type, tail_mention) = ends
        head = walk.grounder.locate(head_mention, start=walk.start)
        tail: Located | None = None
        if head is not None:
            head_label, head_said = _kind(head_type, forms)
            head_end = (head_label, head.fragments, head_said)
            taken = walk.taken(label, head_end, _kind(tail_type, forms))
            tail = walk.grounder.locate(tail_mention, start=head.fragments[0][0], taken=taken)
        if head is not None and tail is not None:
            tail_label, tail_said = _kind(tail_type, forms)
            link = (label, head_end, (tail_label, tail.fragments, tail_said))
            return True, link, {end for end, found in zip(link[1:], (head, tail), strict=True) if found.ambiguous}
    return readable, None, set()


def _kind(type_: str, forms: Forms) -> Kind:
    label, said = forms[type_]
    return label, tuple(sorted(said.items()))


RELATIONS = RelationsCodec()
