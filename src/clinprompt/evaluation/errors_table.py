"""What kind of mistakes there are: per label right, wrong border, wrong label, missed and made up; never any text."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from clinprompt.errors import InputError
from clinprompt.metrics.matching import overlap, pairs
from clinprompt.metrics.spans import Key, same_label_and_overlap
from clinprompt.schema.document import Fragment
from clinprompt.schema.example import Answer, Example, TaskKind
from clinprompt.schema.prediction import Prediction
from clinprompt.tasks.task import Task

Verdict = Literal["correct", "boundary", "type", "boundary_type", "missed", "spurious"]
VERDICTS: tuple[Verdict, ...] = ("correct", "boundary", "type", "boundary_type", "missed", "spurious")

_Item = tuple[str, tuple[Key, ...]]
"""Its label, and the places with their labels: one of an entity, head and tail of a relation, none of a class."""
_Judged = tuple[Verdict, _Item | None, _Item | None]


@dataclass(frozen=True, slots=True)
class ErrorLine:
    """How often each verdict fell on a label: the gold one, for what is spurious the predicted one."""

    label: str
    correct: int
    boundary: int
    type: int
    boundary_type: int
    missed: int
    spurious: int


@dataclass(frozen=True, slots=True)
class ErrorItem:
    """One mistake with its place in the document: ``start-end``, fragments joined by ``;``, head and tail by ``>``.

    ``gold`` and ``predicted`` are labels, empty where there is none.
    """

    document: str
    example: str
    error: str
    gold: str
    predicted: str
    gold_place: str
    predicted_place: str


def errors_of(
    task: Task, examples: Sequence[Example], predictions: Sequence[Prediction]
) -> tuple[list[ErrorLine], list[ErrorItem]]:
    """The lines in the order of the task's labels, and the mistakes in the order of the examples.

    Gold and predicted items are paired one to one, first those that are equal (``correct``), then of the rest those
    of one label that overlap (``boundary``), those of another label at the same place (``type``) and those of another
    label that overlap (``boundary_type``); what is left is ``missed`` or ``spurious``. Of a relation both ends must be
    so placed, and its label is its own with those of its ends. A class is correct, of another ``type`` or, without a
    readable answer, missed. Both lists are empty for tasks of free text. Raises :class:`InputError` for an example
    without prediction.
    """
    if task.codec == "free_text":
        return [], []
    answers = {prediction.example: prediction.answer for prediction in predictions}
    counts: dict[str, dict[Verdict, int]] = {}
    items = []
    for example in examples:
        if example.id not in answers:
            raise InputError("an example has no prediction", where=f"example {example.id}")
        for verdict, gold, said in _judged(task.kind, example.answer, answers[example.id]):
            label = (gold or said or ("", ()))[0]
            row = counts.setdefault(label, dict.fromkeys(VERDICTS, 0))
            row[verdict] += 1
            if verdict != "correct":
                items.append(_item(example, verdict, gold, said))
    order = {label: place for place, label in enumerate((*task.relations, *task.labels))}
    lines = [
        ErrorLine(label, **counts[label])
        for label in sorted(counts, key=lambda label: (order.get(label, len(order)), label))
    ]
    return lines, items


def _judged(kind: TaskKind, gold: Answer, said: Answer) -> Iterator[_Judged]:
    if kind is TaskKind.entities:
        return _paired(_entities(gold), _entities(said))
    if kind is TaskKind.relations:
        return _paired(_links(gold), _links(said))
    return _class(gold.label, said.label)


def _class(gold: str | None, said: str | None) -> Iterator[_Judged]:
    verdict: Verdict = "missed" if said is None else "correct" if said == gold else "type"
    yield verdict, (gold or "", ()), None if said is None else (said, ())


def _paired(gold: list[_Item], said: list[_Item]) -> Iterator[_Judged]:
    steps: tuple[tuple[Verdict, Callable[[_Item, _Item], bool]], ...] = (
        ("correct", lambda one, other: one == other),
        ("boundary", _same_labels_and_overlap),
        ("type", _same_places),
        ("boundary_type", _overlapping),
    )
    for verdict, fits in steps:
        for one, other in pairs(gold, said, fits):
            gold.remove(one)
            said.remove(other)
            yield verdict, one, other
    yield from (("missed", one, None) for one in gold)
    yield from (("spurious", None, other) for other in said)


def _entities(answer: Answer) -> list[_Item]:
    return sorted({(span.label, (span.key,)) for span in answer.spans}, key=_place_first)


def _links(answer: Answer) -> list[_Item]:
    keys = {span.id: span.key for span in answer.spans}
    return sorted({(link.label, (keys[link.head], keys[link.tail])) for link in answer.relations}, key=_place_first)


def _place_first(item: _Item) -> tuple[object, ...]:
    return tuple(fragments for _, fragments in item[1]), item


def _same_labels_and_overlap(one: _Item, other: _Item) -> bool:
    ends = zip(one[1], other[1], strict=True)
    return one[0] == other[0] and all(same_label_and_overlap(end, again) for end, again in ends)


def _same_places(one: _Item, other: _Item) -> bool:
    return [fragments for _, fragments in one[1]] == [fragments for _, fragments in other[1]]


def _overlapping(one: _Item, other: _Item) -> bool:
    return all(overlap(end[1], again[1]) for end, again in zip(one[1], other[1], strict=True))


def _item(example: Example, verdict: Verdict, gold: _Item | None, said: _Item | None) -> ErrorItem:
    return ErrorItem(
        document=example.document or example.id,
        example=example.id,
        error=verdict,
        gold=gold[0] if gold else "",
        predicted=said[0] if said else "",
        gold_place=_place(gold, example.offset),
        predicted_place=_place(said, example.offset),
    )


def _place(item: _Item | None, offset: int) -> str:
    return ">".join(_fragments(fragments, offset) for _, fragments in item[1]) if item else ""


def _fragments(fragments: tuple[Fragment, ...], offset: int) -> str:
    return ";".join(f"{start + offset}-{end + offset}" for start, end in fragments)
