"""What a task loses when it is put as reading comprehension: gold answers that no question can have as its answer."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields

from clinprompt.schema.document import Fragment
from clinprompt.schema.example import Example
from clinprompt.tasks.codecs.entities import Place
from clinprompt.tasks.codecs.relations import gold_links
from clinprompt.tasks.formulations.asks import ANSWER
from clinprompt.tasks.formulations.reading import quoted_places, second_values
from clinprompt.tasks.task import Task


@dataclass(frozen=True, slots=True)
class Unaskable:
    """How many answers there are, and how many of them cannot be asked; each counts for one reason, the first here.

    Answers are entities, relations, and places of extractive answers. ``itself``: a relation of a mention with
    itself; ``parts``: a span in several parts; ``values``: a relation that only says another value of an attribute of
    one of its ends; ``borders``: a place that does not begin and end where tokens do.
    """

    answers: int = 0
    itself: int = 0
    parts: int = 0
    values: int = 0
    borders: int = 0

    @property
    def total(self) -> int:
        """How many cannot be asked."""
        return self.itself + self.parts + self.values + self.borders

    def __add__(self, other: Unaskable) -> Unaskable:
        return Unaskable(*(getattr(self, part.name) + getattr(other, part.name) for part in fields(self)))

    def __str__(self) -> str:
        reasons = {
            "of a mention with itself": self.itself,
            "in several parts": self.parts,
            "with a second value of an attribute": self.values,
            "not at token borders": self.borders,
        }
        why = ", ".join(f"{count} {reason}" for reason, count in reasons.items() if count)
        return f"{self.total} of {self.answers} answers cannot be asked" + (f": {why}" if why else "")


def unaskable(example: Example, task: Task, *, borders: Callable[[Fragment], bool] = lambda place: True) -> Unaskable:
    """Count the gold answers of an example; ``borders`` says whether a place begins and ends where tokens do."""
    found = Unaskable()
    for places, second in _answers(example, task):
        whole = all(len(fragments) == 1 for _, fragments in places)
        if len(places) == 2 and places[0] == places[1]:
            found += Unaskable(1, itself=1)
        elif not whole:
            found += Unaskable(1, parts=1)
        elif second:
            found += Unaskable(1, values=1)
        else:
            found += Unaskable(1, borders=int(not all(borders(fragments[0]) for _, fragments in places)))
    return found


def _answers(example: Example, task: Task) -> Iterator[tuple[tuple[Place, ...], bool]]:
    """The places of each answer, both ends of a relation, else the one; and whether it is but a second value."""
    if task.codec == "relations":
        others = second_values(example, task)
        for link in gold_links(example.answer, task):
            _, head, tail = link
            yield (head[:2], tail[:2]), link in others
    elif task.codec == "entities":
        yield from (((place,), False) for place in {span.key for span in example.answer.spans})
    else:
        yield from ((((ANSWER, (place,)),), False) for place in quoted_places(example, task))
