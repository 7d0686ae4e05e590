"""A row of a table or a JSON record turned into an :class:`Example` by naming its fields."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Any, TypedDict, get_type_hints

from clinprompt.data.choices import KEY_FORMS, Choices, chosen_key, lettered, rendered
from clinprompt.data.digests import Digests, digest
from clinprompt.data.faults import heard_later
from clinprompt.data.stream import Stream
from clinprompt.errors import InputError
from clinprompt.schema.document import Document
from clinprompt.schema.example import Answer, Example


@dataclass(frozen=True, slots=True)
class Fields:
    """Which field of a row goes where; an empty name means the row has nothing of the kind.

    ``note`` and ``question`` may name several fields, joined by a newline. ``options`` names one field that
    holds a list or a mapping of option texts, or several fields with one text each. ``key`` says how
    ``label`` names the right option: see :data:`KEY_FORMS`. ``label_map`` renames classes.
    """

    note: str | Sequence[str] = ""
    question: str | Sequence[str] = ""
    hypothesis: str = ""
    options: str | Sequence[str] = ""
    label: str = ""
    text: str = ""
    id: str = ""
    group: str = ""
    key: str = "letter"
    label_map: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.note:
            raise InputError("the reader is not told which field holds the note", fix="set the option `note`")
        if self.key not in KEY_FORMS:
            raise InputError(f"the option key has the value {self.key!r}", allowed=", ".join(KEY_FORMS))

    @property
    def only_notes(self) -> bool:
        """Whether rows are notes and nothing is asked about them."""
        return not (self.question or self.hypothesis or self.options or self.label or self.text)


FieldNames = TypedDict("FieldNames", get_type_hints(Fields), total=False)  # type: ignore[misc]
"""The fields of :class:`Fields` as the options of a reader that names them."""


def example_of(row: Mapping[str, Any], fields: Fields, *, fallback_id: str, where: str) -> Example:
    """The example of one row; :class:`InputError` names the missing or unusable field, never its content."""
    inputs = {"note": _text_of(row, fields.note, where=where)}
    for slot in ("question", "hypothesis"):
        names = getattr(fields, slot)
        if names:
            inputs[slot] = _text_of(row, names, where=where)
    choices = _choices_of(row, fields.options, where=where) if fields.options else ()
    if choices:
        inputs["options"] = rendered(choices)
    label = _text_of(row, fields.label, where=where) if fields.label else None
    if choices and label is not None:
        label = _key_of(choices, label, fields=fields, where=where)
    elif label is not None:
        label = fields.label_map.get(label, label)
    name = _text_of(row, fields.id, where=where) if fields.id else fallback_id
    return Example(
        id=name,
        inputs=inputs,
        answer=Answer(label=label, text=_text_of(row, fields.text, where=where) if fields.text else None),
        group=_text_of(row, fields.group, where=where) if fields.group else name,
        document=name,
        choices=choices,
    )


def with_distinct_ids(examples: Sequence[Example]) -> list[Example]:
    """The examples with ``#2``, ``#3`` … after an id that was there before; groups and documents stay."""
    return list(_distinct(examples, _repeats(examples)))


def items_of(examples: Stream[Example], fields: Fields) -> Stream[Document] | Stream[Example]:
    """What a reader that names fields gives: distinct ids, rows with the same note in one group unless a field names
    it, and documents when only the note is named, so that long ones are read in windows.

    The rows are gone through once more at first, to know which ids and notes come again: only those are held.
    """

    @cache
    def found() -> _Repeats:
        with heard_later():
            return _repeats(examples)

    def items() -> Iterator[Any]:
        grouped = examples if fields.group else _grouped(examples, found())
        for example in _distinct(grouped, found()):
            if fields.only_notes:
                yield Document(id=example.id, text=example.note, group=example.group)
            else:
                yield example

    return Stream(items)


def grouped_by_note(examples: Sequence[Example]) -> list[Example]:
    """The examples with those about the same note in one group, that of the first, so that no split divides them."""
    return list(_grouped(examples, _repeats(examples)))


@dataclass(frozen=True, slots=True)
class _Repeats:
    """The digests of the ids and of the notes that are there more than once."""

    ids: frozenset[int]
    notes: frozenset[int]

    def names(self, name: str) -> bool:
        """Whether an id comes again, or may be one that was made from such an id."""
        while self.ids:
            if digest(name) in self.ids:
                return True
            name, _, number = name.rpartition("#")
            if not number.isdecimal() or not name:
                break
        return False


def _repeats(examples: Iterable[Example]) -> _Repeats:
    ids, notes = Digests(), Digests()
    for example in examples:
        ids.add(example.id)
        notes.add(example.note)
    return _Repeats(ids.repeated(), notes.repeated())


def _distinct(examples: Iterable[Example], repeats: _Repeats) -> Iterator[Example]:
    taken: set[str] = set()
    for example in examples:
        name, times = example.id, 1
        while name in taken:
            times += 1
            name = f"{example.id}#{times}"
        if repeats.names(name):
            taken.add(name)
        yield example if name == example.id else replace(example, id=name)


def _grouped(examples: Iterable[Example], repeats: _Repeats) -> Iterator[Example]:
    groups: dict[str, str] = {}
    for example in examples:
        if repeats.notes and example.note.strip() and digest(example.note) in repeats.notes:
            yield replace(example, group=groups.setdefault(example.note, example.group))
        else:
            yield example


def _text_of(row: Mapping[str, Any], names: str | Sequence[str], *, where: str) -> str:
    if not isinstance(names, str):
        return "\n".join(_text_of(row, name, where=where) for name in names)
    if names not in row:
        raise InputError(f"the record has no field {names!r}", where=where, fix="name the right field in the options")
    value = row[names]
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return str(value)
    if isinstance(value, list) and all(isinstance(part, str) for part in value):
        return "\n".join(value)
    raise InputError(f"the field {names!r} holds no text", where=where, allowed="a text, a number, a list of texts")


def _choices_of(row: Mapping[str, Any], names: str | Sequence[str], *, where: str) -> Choices:
    if not isinstance(names, str):
        given = [name for name in names if row.get(name) not in (None, "")]
        # Rows with fewer options leave the last fields empty; a gap in the middle would shift the letters.
        if given != list(names[: len(given)]):
            raise InputError("an option in the middle is empty", where=where)
        return lettered([_text_of(row, name, where=where) for name in given])
    value = row.get(names)
    if isinstance(value, list) and value and all(isinstance(text, str) for text in value):
        return lettered(value)
    if isinstance(value, dict) and value and all(isinstance(text, str) for text in value.values()):
        return tuple(value.items())
    raise InputError(f"the field {names!r} holds no options", where=where, allowed="a list or a mapping of texts")


def _key_of(choices: Choices, value: str, *, fields: Fields, where: str) -> str:
    key = chosen_key(choices, value, form=fields.key)
    if key is None:
        allowed = ", ".join(key for key, _ in choices) if fields.key == "letter" else f"a {fields.key} key"
        raise InputError(f"the field {fields.label!r} names none of the options", where=where, allowed=allowed)
    return key
