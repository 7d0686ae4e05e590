"""One unit of supervised work: named input texts and the gold answer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType

from clinprompt.schema.document import Relation, Span


class TaskKind(StrEnum):
    """The five kinds of task of arXiv 2604.06650."""

    entities = "entities"
    relations = "relations"
    question_answering = "question-answering"
    inference = "inference"
    summarisation = "summarisation"


SPAN_KINDS = (TaskKind.entities, TaskKind.relations)
"""Tasks whose answers are places in the note."""

QUOTED = "answer"
"""Label of the span at which an extractive answer stands."""


class Split(StrEnum):
    """The part of a data set an example belongs to."""

    train = "train"
    dev = "dev"
    test = "test"


@dataclass(frozen=True, slots=True)
class Answer:
    """What a task asks for; gold and predicted answers have the same type.

    ``spans`` and ``relations`` (by span ids) for entities and relations, ``label`` for classes and for the key of
    a multiple-choice option, ``text`` for free text. Offsets count characters of the example's ``note``.
    """

    spans: tuple[Span, ...] = ()
    relations: tuple[Relation, ...] = ()
    label: str | None = None
    text: str | None = None


@dataclass(frozen=True, slots=True)
class Example:
    """Named input texts with one gold answer.

    ``inputs`` maps slot names to texts: ``note`` (always there; what offsets refer to), and what else the task
    has, such as ``question``, ``options`` or ``hypothesis``. ``choices`` are (key, text) pairs of a multiple-choice
    question. ``offset`` is where ``note`` begins in the source document, so that windows give global offsets.
    """

    id: str
    inputs: Mapping[str, str]
    answer: Answer
    group: str
    document: str = ""
    offset: int = 0
    choices: tuple[tuple[str, str], ...] = ()
    split: Split | None = None
    metadata: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}), hash=False)

    @property
    def note(self) -> str:
        """The text that offsets count in."""
        return self.inputs["note"]
