"""A task: one YAML file that says what is asked, in which words, of which data, scored how."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, StrictStr, model_validator

from clinprompt.schema.example import TaskKind

HEAD = "{head}"
"""Stands in a written question for the words of the mention that it is about."""


def _is_empty(value: object) -> bool:
    return not value


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class RelationSchema(_Strict):
    """Which entity labels may stand at the two ends of a relation."""

    head: tuple[StrictStr, ...]
    tail: tuple[StrictStr, ...]


class AttributeSchema(_Strict):
    """The values of an attribute of entities, such as present, absent and possible of the attribute ``assertion``.

    ``of`` are the entity labels that have it (none named: all). ``usual`` is the value where the annotation says
    nothing; answers leave it unsaid too.
    """

    values: tuple[StrictStr, ...] = Field(min_length=2)
    of: tuple[StrictStr, ...] = ()
    usual: StrictStr = ""


class MentionQuestion(_Strict):
    """That a task of classes asks for one attribute of marked mentions: the classes are its values.

    ``of`` are the entity labels whose mentions are asked about, ``usual`` is as in :class:`AttributeSchema`.
    """

    attribute: StrictStr
    of: tuple[StrictStr, ...] = Field(min_length=1)
    usual: StrictStr = ""


class SplitPlan(_Strict):
    """How a corpus without official parts is divided, always by group (patient or document)."""

    dev: float = Field(0.1, ge=0, lt=1)
    test: float = Field(0.2, ge=0, lt=1)
    seed: int = 13


class DataSource(_Strict):
    """Where a task's examples come from: a reader's name, its options, and a path or options per part.

    ``root`` is a folder below the data root the user names. ``parts`` maps ``train``, ``dev``, ``test`` (or ``all``,
    with ``split``) to the options of that part; ``path`` among them is relative to ``root``. ``window`` is the
    longest stretch of a document, in characters, that becomes one example (tasks about documents only).
    ``attribute_map`` says which attributes of the corpus, ``Name`` or ``Name=value``, mean which value of an
    attribute of the task: ``{assertion: {Negation: absent}}``. ``apply`` says where to ask for data that is given
    on application only, ``obtain`` where public data is; they are shown when the data is not there.
    """

    reader: StrictStr
    root: StrictStr = ""
    options: dict[str, Any] = Field(default_factory=dict)
    parts: dict[StrictStr, dict[str, Any]] = Field(default_factory=dict)
    split: SplitPlan | None = None
    window: int | None = Field(None, ge=40)
    label_map: dict[StrictStr, StrictStr] = Field(default_factory=dict)
    # Left out of what is dumped where it is empty: runs of tasks without attributes keep their names.
    attribute_map: dict[StrictStr, dict[StrictStr, StrictStr]] = Field(default_factory=dict, exclude_if=_is_empty)
    # Left out of what is dumped: a run does not depend on it.
    apply: StrictStr = Field("", exclude=True)
    obtain: StrictStr = Field("", exclude=True)


class Task(_Strict):
    """A task of one of the five kinds; the same file serves training, scoring and prediction.

    ``labels`` are entity labels or classes (empty for choices and free text), ``verbalizer`` the words that stand
    for them in answers (the label itself when absent; those of one attribute's value under ``name=value``),
    ``metrics`` names from the metric table, primary first.
    ``attributes`` are asked for with the entities, in one answer; ``about`` asks for an attribute of one mention.
    ``questions`` are what reading comprehension asks for a label or a relation, in full words; in those of relations
    ``{head}`` stands for the words of the mention that is asked about; a name that is both is the relation's.
    """

    name: StrictStr
    kind: TaskKind
    codec: StrictStr
    instruction: StrictStr
    labels: tuple[StrictStr, ...] = ()
    verbalizer: dict[StrictStr, StrictStr] = Field(default_factory=dict)
    relations: dict[StrictStr, RelationSchema] = Field(default_factory=dict)
    attributes: dict[StrictStr, AttributeSchema] = Field(default_factory=dict, exclude_if=_is_empty)
    about: MentionQuestion | None = Field(None, exclude_if=_is_empty)
    questions: dict[StrictStr, StrictStr] = Field(default_factory=dict, exclude_if=_is_empty)
    metrics: tuple[StrictStr, ...] = Field(min_length=1)
    data: DataSource | None = None
    group: StrictStr = ""
    licence: StrictStr = ""
    description: StrictStr = ""

    @model_validator(mode="after")
    def _words_are_known(self) -> Task:
        values = [
            words
            for name, schema in self.attributes.items()
            for value in schema.values
            for words in (value, f"{name}={value}")
        ]
        mentions = self.about.of if self.about else ()
        extra = set(self.verbalizer) - {*self.labels, *self.relations, *values, *mentions}
        if extra:
            raise ValueError(f"verbalizer names labels that the task does not have: {sorted(extra)}")
        words = [self.words(label) for label in self.labels]
        if len(set(words)) != len(words):
            raise ValueError("two labels share the same verbalizer words")
        return self

    def words(self, label: str) -> str:
        """The words that stand for a label in instructions and answers."""
        return self.verbalizer.get(label, label)

    def forms(self) -> Mapping[str, tuple[str, Mapping[str, str]]]:
        """Every way to name a kind of entity in an answer, ``problem`` or ``problem, absent``: label and attributes."""
        found: dict[str, tuple[str, Mapping[str, str]]] = {}
        for label in self.labels:
            asked = {name: schema for name, schema in self.attributes.items() if label in (schema.of or self.labels)}
            for values in itertools.product(*(schema.values for schema in asked.values())):
                said = dict(zip(asked, values, strict=True))
                unusual = [self._value_words(*one) for one in said.items() if one[1] != asked[one[0]].usual]
                found[", ".join([self.words(label), *unusual])] = (label, said)
        return found

    def _value_words(self, attribute: str, value: str) -> str:
        return self.verbalizer.get(f"{attribute}={value}", self.words(value))

    def label(self, words: str) -> str | None:
        """The label that these words stand for, ``None`` when they stand for none."""
        for name in (*self.labels, *self.relations):
            if self.words(name) == words:
                return name
        return None
