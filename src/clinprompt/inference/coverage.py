"""The coverage ledger: for each note and task what was read, in how many windows, and what they could not hold."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from clinprompt.data.windows import Window
from clinprompt.inference.long_notes import Plan
from clinprompt.schema.document import Span
from clinprompt.schema.example import Answer
from clinprompt.schema.prediction import Prediction
from clinprompt.tasks.task import Task


@dataclass(frozen=True, slots=True)
class Coverage:
    """One line of the ledger: names and numbers only.

    Of ``characters`` in the note ``read`` stood in some window; of the rest ``blank`` are white space, and
    ``truncated`` are not and were never read. ``overlap`` is the least that neighbouring windows share,
    ``answers_cut`` counts windows whose answer the length limit ended, ``pairs_apart`` pairs of found mentions that
    a relation of the task could join but no window held together: a relation between them was not seen.
    """

    note: str
    task: str
    strategy: str
    characters: int
    read: int
    blank: int
    truncated: int
    windows: int
    overlap: int
    answers_cut: int
    pairs_apart: int


def coverage(plan: Plan, prediction: Prediction) -> Coverage:
    """What became of one plan; counted in the text and the windows themselves."""
    example, task = plan.question.example, plan.question.task
    read, unread = 0, []
    reached = 0
    for start, end in sorted(plan.places):
        unread.append(example.note[reached : max(reached, start)])
        read += max(0, end - max(start, reached))
        reached = max(reached, end)
    left = "".join([*unread, example.note[reached:]])
    blank = sum(map(str.isspace, left))
    return Coverage(
        note=example.id,
        task=task.name,
        strategy=plan.strategy,
        characters=len(example.note),
        read=read,
        blank=blank,
        truncated=len(left) - blank,
        windows=len(plan.places),
        overlap=plan.overlap,
        answers_cut=prediction.report.truncated,
        pairs_apart=_pairs_apart(prediction.answer.spans, plan.places, task) if len(plan.places) > 1 else 0,
    )


def across(answer: Answer, places: Iterable[Window]) -> tuple[int, int]:
    """How many spans and how many relations of an answer stand whole in none of the windows."""
    places = list(places)
    whole = {span.id: {i for i, place in enumerate(places) if _inside(span, place)} for span in answer.spans}
    spans = sum(not windows for windows in whole.values())
    return spans, sum(not whole[relation.head] & whole[relation.tail] for relation in answer.relations)


def _pairs_apart(spans: tuple[Span, ...], places: tuple[Window, ...], task: Task) -> int:
    """All pairs that a relation allows, less those that some window holds: windows hold few pairs, notes many."""
    if not task.relations:
        return 0
    labels = Counter(span.label for span in spans)
    ends = {(head, tail) for schema in task.relations.values() for head in schema.head for tail in schema.tail}
    possible = sum(labels[head] * (labels[tail] - (head == tail)) for head, tail in ends)
    together = {
        (head.id, tail.id)
        for place in places
        for here in [[span for span in spans if _inside(span, place)]]
        for head in here
        for tail in here
        if head is not tail and (head.label, tail.label) in ends
    }
    return possible - len(together)


def _inside(span: Span, place: Window) -> bool:
    return place[0] <= span.start and span.end <= place[1]
