"""What `/v1/extract` takes and gives, as its OpenAPI says."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

REFERENCE = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}(@[1-9][0-9]{0,8})?$"
Reference = Annotated[
    str,
    Field(description="A name of the bank (its promoted version) or name@version."),
    StringConstraints(pattern=REFERENCE),
]
ModelName = Annotated[
    str,
    Field(
        description="A name of the bank (its promoted version) or name@version; any other is 404.",
        json_schema_extra={"pattern": REFERENCE},
    ),
]
"""What OpenAI's clients call a model; that there is none of a name such as ``meta/llama`` is no fault of form."""

Slot = Literal["question", "options", "hypothesis"]
Inputs = dict[Slot, str | list[str]]
"""Texts of a task's other inputs; ``options`` of multiple choice are a list."""

UNIT = "code points"


STRICT = ConfigDict(extra="forbid", str_max_length=10**9)
"""How requests are read. JSON may bring half of a surrogate pair; it is refused as soon as texts have any most length,
and without one it would come through to the tokenizer."""


class _Strict(BaseModel):
    model_config = STRICT


class Note(_Strict):
    """A note and the name under which its findings come back."""

    id: str = Field(min_length=1, max_length=200)
    text: str


class ExtractRequest(_Strict):
    """One note (``note``) or several (``notes``), the tasks to find, and what else tasks ask about."""

    note: str | None = None
    notes: list[Note] | None = Field(None, min_length=1)
    tasks: list[Reference] = Field(min_length=1)
    questions: dict[Reference, Inputs] = Field(
        default_factory=dict, description="By task: texts of slots besides the note."
    )

    @model_validator(mode="after")
    def _notes_are_named(self) -> ExtractRequest:
        if (self.note is None) == (self.notes is None):
            raise ValueError("give either note or notes")
        names = [note.id for note in self.notes or ()]
        if len(set(names)) < len(names):
            raise ValueError("two notes have the same id")
        if len(set(self.tasks)) < len(self.tasks):
            raise ValueError("a task is named twice")
        if not set(self.questions) <= set(self.tasks):
            raise ValueError("questions names a task that is not asked for")
        return self

    @property
    def given(self) -> list[Note]:
        """The notes, also where only one text was given."""
        return self.notes if self.notes is not None else [Note(id="note", text=self.note or "")]


class FoundSpan(BaseModel):
    """A place in the note: ``text`` is what stands at ``fragments``, half-open ranges of code points."""

    id: str
    label: str
    fragments: list[tuple[int, int]]
    text: str
    attributes: dict[str, str]
    ambiguous: bool
    score: float | None


class FoundRelation(BaseModel):
    """A link between two spans of the same task, by their ids."""

    id: str
    label: str
    head: str
    tail: str
    score: float | None


class FoundText(_Strict):
    """An answer in words."""

    text: str


class FoundLabel(_Strict):
    """A class, or the key of an option."""

    label: str


class Faults(BaseModel):
    """Items of the answers, and those that were left out or are in doubt, counted."""

    items: int
    unreadable: int
    unlocated: int
    ambiguous: int
    truncated: int
    repeated: int


class TaskFindings(BaseModel):
    """What one task found in one note. ``windows`` says in how many stretches the note was read."""

    task: str
    prompt: str
    kind: str
    spans: list[FoundSpan]
    relations: list[FoundRelation]
    answer: FoundText | FoundLabel | None
    score: float | None
    report: Faults
    windows: int
    unit: Literal["code points"] = UNIT
    provenance: dict[str, str]


class NoteFindings(BaseModel):
    """What all tasks found in one note."""

    id: str
    characters: int
    tasks: list[TaskFindings]


class Usage(BaseModel):
    """Tokens read and written."""

    prompt_tokens: int
    completion_tokens: int


class Extraction(BaseModel):
    """The findings of a request, in the order in which its notes and tasks were given."""

    object: Literal["extraction"] = "extraction"
    results: list[NoteFindings]
    usage: Usage
