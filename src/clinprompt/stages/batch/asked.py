"""What a run asks of every note: its tasks, as far as writing their answers needs to know."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from clinprompt.data.files import file_hash
from clinprompt.errors import InputError
from clinprompt.prompts.card import PromptCard
from clinprompt.schema.example import SPAN_KINDS
from clinprompt.stages.batch.note_answer import NoteAnswer
from clinprompt.stages.batch.notes import Item
from clinprompt.tasks.task import Task


@dataclass(frozen=True, slots=True)
class Asked:
    """``made_by`` names each prompt, ``labels`` and ``relations`` are all that answers can have.

    ``extents`` are the longest answer items of the training data by task; ``mentions`` the labels of those mentions of
    the notes that are asked about; ``only_answers`` some task whose answer is no place in the note.
    """

    made_by: tuple[Mapping[str, Any], ...]
    labels: tuple[str, ...] = ()
    relations: tuple[str, ...] = ()
    extents: Mapping[str, int] = field(default_factory=dict)
    mentions: frozenset[str] = frozenset()
    only_answers: bool = False


class RunError(InputError):
    """A fault of the whole run, such as a server that is gone: it is not put down to a note."""


class Answers(Protocol):
    """What answers notes: a backbone here, or a server."""

    unconstrained: str
    """Why answers were not constrained although that was asked for; empty where they were."""
    remarks: tuple[str, ...]
    """What else there is to say of the engine."""

    def answers(self, items: Sequence[Item], *, watch: Callable[[float], None]) -> list[NoteAnswer | InputError]:
        """An answer per note, or why there is none; ``watch`` hears of each further share of the work that is done.

        May raise for what it cannot say of a single note.
        """
        ...


def asked_by(cards: Sequence[PromptCard], paths: Sequence[Path]) -> Asked:
    """What prompt files ask; :class:`InputError` for a metaprompt and for two prompts of one task."""
    tasks = [task_of(card, path) for card, path in zip(cards, paths, strict=True)]
    names = [task.name for task in tasks]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise InputError(f"two prompts answer the task {twice[0]}", fix="predict with one prompt per task at a time")
    labels = [label for task in tasks if task.kind in SPAN_KINDS for label in task.labels]
    return Asked(
        made_by=tuple(_made_by(card, path) for card, path in zip(cards, paths, strict=True)),
        labels=(*labels, *(task.name for task in tasks if task.codec == "quote")),
        relations=tuple(label for task in tasks for label in task.relations),
        extents={task.name: card.extent or 0 for card, task in zip(cards, tasks, strict=True)},
        mentions=_mentions(tasks) if on_given_mentions(tasks) else frozenset(),
        only_answers=not all(task.kind in SPAN_KINDS or task.codec == "quote" or task.about for task in tasks),
    )


def task_of(card: PromptCard, path: Path) -> Task:
    """The task that a prompt answers; :class:`InputError` for a metaprompt."""
    if card.task is None:
        raise InputError(
            "this file holds a metaprompt, which answers no task by itself",
            where=str(path),
            fix="adapt it to a task first with `clinprompt adapt`",
        )
    return card.task


def on_given_mentions(tasks: Iterable[Task]) -> bool:
    """Whether attributes are asked for of the mentions that the notes have already."""
    tasks = list(tasks)
    return any(task.about for task in tasks) and not any(task.kind in SPAN_KINDS for task in tasks)


def _mentions(tasks: Sequence[Task]) -> frozenset[str]:
    return frozenset(label for task in tasks if task.about for label in task.about.of)


def _made_by(card: PromptCard, path: Path) -> dict[str, Any]:
    return {
        "task": card.task.name if card.task else "",
        "prompt": card.name,
        "version": card.version,
        "method": card.method,
        "run": card.lineage.run,
        **({"sha256": file_hash(path)} if path.is_file() else {}),
    }
