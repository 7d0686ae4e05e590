"""Entities as text: ``drug: aspirin; dose: 80 mg``, or ``none``."""

from __future__ import annotations

from collections import defaultdict

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


def text_order(place: Place) -> tuple[object, ...]:
    """Sorting key: by start, the longer first, then by fragments and label."""
    label, fragments = place
    return (fragments[0][0], -fragments[-1][1], fragments, label)


def numbered(places: set[Place]) -> tuple[Span, ...]:
    """Spans in text order with the ids ``e1``, ``e2``, …"""
    ordered = sorted(places, key=text_order)
    return tuple(
        Span(label=label, fragments=fragments, id=f"e{number}")
        for number, (label, fragments) in enumerate(ordered, start=1)
    )


class EntitiesCodec:
    """Items ``words: mention`` in text order, joined by ``; ``; fragments of one mention by `` | ``."""

    def encode(self, example: Example, task: Task) -> str:
        """The gold spans as items; raises :class:`InputError` for a label that is not the task's."""
        grounder = Grounder(example.note)
        taken: dict[str, set[tuple[Fragment, ...]]] = defaultdict(set)
        items: list[str] = []
        start = 0
        for label, fragments in sorted({span.key for span in example.answer.spans}, key=text_order):
            if label not in task.labels:
                raise InputError(
                    f"the label {label!r} is not one of task {task.name}",
                    where=f"example {example.id}, characters {fragments[0][0]}-{fragments[-1][1]}",
                    allowed=", ".join(task.labels),
                )
            mention = grounder.mention(fragments, start=start, taken=taken[label])
            items.append(f"{escape(task.words(label), specials=WORD_SPECIALS)}: {write_mention(mention)}")
            taken[label].add(fragments)
            start = fragments[0][0]
        return "; ".join(items) or NOTHING

    def options(self, example: Example, task: Task) -> None:
        """No closed list: any text may be right."""

    def form(self, example: Example, task: Task) -> ItemForm:
        """Labels of the task with words of the note."""
        return ItemForm(example.note, [ItemShape(task.words(label)) for label in task.labels])

    def decode(self, answer: str, example: Example, task: Task) -> Prediction:
        """The spans that the text names, each at its place in the note; never raises."""
        grounder, wording = Grounder(example.note), Wording(task.labels, task)
        taken: dict[str, set[tuple[Fragment, ...]]] = defaultdict(set)
        report, start = DecodeReport(), 0
        for item in answer_items(answer):
            label, found = _read(item, wording, grounder, start=start, taken=taken)
            report += DecodeReport(items=1, unreadable=label is None, unlocated=bool(label and found is None))
            if label is None or found is None or found.repeated:
                continue
            report += DecodeReport(ambiguous=found.ambiguous)
            taken[label].add(found.fragments)
            start = found.fragments[0][0]
        spans = numbered({(label, fragments) for label, places in taken.items() for fragments in places})
        return Prediction(example=example.id, answer=Answer(spans=spans), report=report, raw=answer)


def _read(
    item: list[Unit],
    wording: Wording,
    grounder: Grounder,
    *,
    start: int,
    taken: dict[str, set[tuple[Fragment, ...]]],
) -> tuple[str | None, Located | None]:
    """Label and place; no label when the item has not the form, no place when the note has not the words."""
    label = None
    for reading in readings(item):
        words, *rest = split(reading, ":", limit=1)
        mention = read_mention(rest[0]) if rest else None
        name = wording.label(plain(words)) if mention else None
        if mention is None or name is None:
            continue
        label = name
        found = grounder.locate(mention, start=start, taken=taken[name])
        if found is not None:
            return label, found
    return label, None


ENTITIES = EntitiesCodec()
