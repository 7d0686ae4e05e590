"""What a task asks of a text in reading comprehension, in words: by label and, where it has attributes, by value."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from clinprompt.errors import InputError
from clinprompt.registry import unknown_name
from clinprompt.tasks.codecs.entities import Forms
from clinprompt.tasks.task import HEAD, Task

LABEL, WORDS = "label", "words"
"""How a question is worded: the words of its label alone, or a question in full words."""

ANSWER = "answer"
"""The label of the place of an extractive answer."""

_READABLE = ("entities", "relations", "quote")


@dataclass(frozen=True, slots=True)
class Ask:
    """One thing that a task asks of a text, in words, with ``{head}`` where those of a mention go.

    ``label`` is the entity label or the relation asked for, ``finds`` the label of the spans that answer and
    ``attributes`` theirs. ``of`` is the label of the mention that a question of the second pass is about, empty in the
    first.
    """

    label: str
    text: str
    finds: str
    attributes: Mapping[str, str] = field(default_factory=dict)
    of: str = ""


def can_be_read(task: Task) -> bool:
    """Whether the answers of a task are places in its text: entities, relations and extractive answers."""
    return task.codec in _READABLE


def questions(task: Task, *, wording: str) -> tuple[Ask, ...]:
    """Everything a task asks of a text, the first pass first; ``wording`` is ``label`` or ``words``.

    What is not written under the task's ``questions`` is made from the words of its labels. Where several labels, or
    values of attributes, can answer one written question, each answers a question of its own, with its words behind
    it. Raises :class:`InputError` for a task that cannot be read.
    """
    if not can_be_read(task):
        raise InputError(
            f"task {task.name!r} cannot be put as reading comprehension: its answers are not places in a text",
            allowed=f"tasks with the codec {', '.join(_READABLE)}",
            fix="use a decoder backbone for this task",
        )
    if wording not in (LABEL, WORDS):
        raise unknown_name("wording", wording, (LABEL, WORDS))
    full = wording == WORDS
    if task.codec == "quote":
        return (Ask(ANSWER, "", ANSWER),)
    if task.codec == "entities":
        return tuple(
            Ask(label, _entity(label, form, task) if full else form, label, attributes)
            for form, (label, attributes) in task.forms().items()
        )
    heads, forms = head_labels(task), task.forms()
    first = [Ask(label, _entity(label, form, task) if full else form, label, attributes)
             for form, (label, attributes) in forms.items() if label in heads]  # fmt: skip
    return (*first, *(ask for name in task.relations for ask in _second(name, forms, task, full=full)))


def asks_twice(task: Task) -> bool:
    """Whether a task has a second pass."""
    return task.codec == "relations"


def from_tail(task: Task) -> bool:
    """Whether the mentions asked about are the relations' tails: the end of fewer labels, as the drug among details."""
    heads = {label for ends in task.relations.values() for label in ends.head}
    return len({label for ends in task.relations.values() for label in ends.tail}) < len(heads)


def _end(task: Task, name: str, *, head: bool) -> tuple[str, ...]:
    """The labels at the end of a relation that is asked about, or at its other one."""
    ends = task.relations[name]
    return ends.tail if head == from_tail(task) else ends.head


def head_labels(task: Task) -> set[str]:
    """The labels of the mentions that the second pass asks about."""
    return {label for name in task.relations for label in _end(task, name, head=True)}


def _entity(label: str, form: str, task: Task) -> str:
    if label not in task.questions or label in task.relations:  # of a shared name the question is the relation's
        return f"Find all mentions of {form} in the text."
    return task.questions[label] + ("" if form == task.words(label) else f" ({form})")


def _second(name: str, forms: Forms, task: Task, *, full: bool) -> Iterator[Ask]:
    """The questions about a relation, for each label at one end what can stand at the other."""
    others = _end(task, name, head=False)
    answers = [(form, *meaning) for label in others for form, meaning in forms.items() if meaning[0] == label]
    word = _relation if full else _named
    for of in _end(task, name, head=True):
        for form, label, attributes in answers:
            text = word(name, of, form, task, several=len(answers) > 1)
            yield Ask(name, text, label, attributes, of=of)


def _relation(name: str, of: str, form: str, task: Task, *, several: bool) -> str:
    if name not in task.questions:
        return f'Find every {form} in the relation "{task.words(name)}" with the {task.words(of)} {HEAD}.'
    return task.questions[name] + (f" ({form})" if several else "")


def _named(name: str, of: str, form: str, task: Task, *, several: bool) -> str:
    """The words of a relation and, where there are several, of what answers and of the label asked about."""
    answers = f", {form}" if several else ""
    about = f"{task.words(of)} " if len(_end(task, name, head=True)) > 1 else ""
    return f"{task.words(name)}{answers}: {about}{HEAD}"
