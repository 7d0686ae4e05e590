"""Entities as text: ``drug: aspirin; dose: 80 mg``, with attributes ``problem, absent: fever``, or ``none``."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Set

from clinprompt.errors import InputError
from clinprompt.schema.document import Fragment, Span
from clinprompt.schema.example import Answer, Example
from clinprompt.schema.prediction import DecodeReport, Prediction
from clinprompt.tasks.codecs.item_form import ItemForm, ItemShape
from clinprompt.tasks.codecs.items import (
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
from clinprompt.tasks.grounding import Grounder, Located
from clinprompt.tasks.task import Task

Place = tuple[str, tuple[Fragment, ...]]
"""A label and exact fragments, as in :attr:`Span.key`."""
Forms = Mapping[str, tuple[str, Mapping[str, str]]]
"""What :meth:`Task.forms` gives."""


def text_order(place: Place) -> tuple[object, ...]:
    """Sorting key: by start, the longer first, then by fragments and label."""
    label, fragments = place
    return (fragments[0][0], -fragments[-1][1], fragments, label)


def numbered(places: Mapping[Place, Mapping[str, str]]) -> tuple[Span, ...]:
    """Spans in text order with the ids ``e1``, ``e2``, … and the attributes of their places."""
    ordered = sorted(places, key=text_order)
    return tuple(
        Span(label=place[0], fragments=place[1], id=f"e{number}", attributes=places[place])
        for number, place in enumerate(ordered, start=1)
    )


def ids_of(spans: Iterable[Span], places: Set[Place]) -> tuple[str, ...]:
    """The ids of the spans that stand at these places."""
    return tuple(span.id for span in spans if span.key in places)


class EntitiesCodec:
    """Items ``words: mention`` in text order, joined by ``; ``; fragments of one mention by `` | ``.

    The words are those of the label and, where the task has attributes, of each value that is not the usual one.
    """

    def encode(self, example: Example, task: Task) -> str:
        """The gold spans as items; raises :class:`InputError` for a label or value that is not the task's."""
        grounder = Grounder(example.note)
        taken: dict[str, set[tuple[Fragment, ...]]] = defaultdict(set)
        items: list[str] = []
        start = 0
        by_place = {span.key: span for span in reversed(example.answer.spans)}
        forms = task.forms()
        for label, fragments in sorted(by_place, key=text_order):
            form = words_of(by_place[label, fragments], forms, example, task)
            mention = grounder.mention(fragments, start=start, taken=taken[label])
            items.append(f"{escape(form, specials=WORD_SPECIALS)}: {write_mention(mention)}")
            taken[label].add(fragments)
            start = fragments[0][0]
        return "; ".join(items) or NOTHING

    def options(self, example: Example, task: Task) -> None:
        """No closed list: any text may be right."""

    def form(self, example: Example, task: Task) -> ItemForm:
        """Labels of the task, each with every choice of its attributes, and words of the note."""
        return ItemForm(example.note, [ItemShape(words) for words in task.forms()])

    def decode(self, answer: str, example: Example, task: Task) -> Prediction:
        """The spans that the text names, each at its place in the note; never raises."""
        forms = task.forms()
        grounder, wording = Grounder(example.note), Wording(forms)
        places: dict[Place, Mapping[str, str]] = {}
        taken: dict[str, set[tuple[Fragment, ...]]] = defaultdict(set)
        report, start, unsure = DecodeReport(), 0, set[Place]()
        said: dict[Place, int] = {}
        for number, item in enumerate(answer_items(answer)):
            form, found = _read(item, wording, grounder, forms, start=start, taken=taken)
            again = found is not None and found.repeated
            report += DecodeReport(
                items=1, unreadable=form is None, unlocated=bool(form and found is None), repeated=again
            )
            if form is None or found is None or again:
                continue
            report += DecodeReport(ambiguous=found.ambiguous)
            label, attributes = forms[form]
            taken[label].add(found.fragments)
            places[label, found.fragments] = attributes
            said[label, found.fragments] = number
            start = found.fragments[0][0]
            if found.ambiguous:
                unsure.add((label, found.fragments))
        spans = numbered(places)
        return Prediction(
            example=example.id, answer=Answer(spans=spans), report=report, raw=answer, ambiguous=ids_of(spans, unsure),
            items={span.id: said[span.key] for span in spans},
        )  # fmt: skip


def words_of(span: Span, forms: Forms, example: Example, task: Task) -> str:
    """The words of a span's label and attributes; raises :class:`InputError` for those that are not the task's."""
    label, where = span.label, f"example {example.id}, characters {span.start}-{span.end}"
    if label not in task.labels:
        raise InputError(
            f"the label {label!r} is not one of task {task.name}", where=where, allowed=", ".join(task.labels)
        )
    said = asked_of(span, task)
    for form, meaning in forms.items():
        if meaning == (label, said):
            return form
    name = next(name for name, value in said.items() if value not in task.attributes[name].values)
    allowed = ", ".join(task.attributes[name].values)
    raise InputError(f"the attribute {name} has the value {said[name]!r}", where=where, allowed=allowed)


def asked_of(span: Span, task: Task) -> dict[str, str]:
    """The attributes that a task asks for of a span, with their values; the usual one where nothing is said."""
    return {
        name: span.attributes.get(name, schema.usual)
        for name, schema in task.attributes.items()
        if span.label in (schema.of or task.labels)
    }


def _read(
    item: list[Unit],
    wording: Wording,
    grounder: Grounder,
    forms: Forms,
    *,
    start: int,
    taken: dict[str, set[tuple[Fragment, ...]]],
) -> tuple[str | None, Located | None]:
    """The words before the colon, as the task has them, and the place; no words when the item has not the form, no
    place when the note has not the mention.
    """
    form = None
    for reading in readings(item):
        words, *rest = split(reading, ":", limit=1)
        mention = read_mention(rest[0]) if rest else None
        name = wording.label(plain(words)) if mention else None
        if mention is None or name is None:
            continue
        form = name
        found = grounder.locate(mention, start=start, taken=taken[forms[form][0]])
        if found is not None:
            return form, found
    return form, None


ENTITIES = EntitiesCodec()
