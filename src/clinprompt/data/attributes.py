"""The value that a task's attribute has for a span, read from however the corpus says it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from clinprompt.data.assertion import assertion_of, meaning_of
from clinprompt.errors import InputError
from clinprompt.schema.document import Span
from clinprompt.schema.example import Example

MEANINGS = {
    "assertion": ("other", "hypothetical", "possible", "negated"),
    "temporality": ("past", "future"),
    "experiencer": ("other",),
}
"""What makes an attribute unlike the usual, the stronger first: the order of the i2b2 2010 guideline."""


MEANT = ("negated", "possible", "hypothetical", "past", "future")
"""What an :class:`~clinprompt.data.assertion.Assertion` may say, beside the person."""


@dataclass(frozen=True, slots=True)
class Asked:
    """An attribute that a task asks for: its values, the labels that have it (none named: all) and its usual value.

    ``renames`` says which attributes of the corpus, ``Name`` or ``Name=value``, mean which value.
    """

    name: str
    values: Sequence[str]
    of: Sequence[str] = ()
    usual: str = ""
    renames: Mapping[str, str] = field(default_factory=dict)

    def value(self, span: Span) -> str | None:
        """The value that the span's attributes say, ``None`` when they say none of the task's.

        First what ``renames`` names. Of assertion, temporality and experiencer then the value that means the strongest
        of what all attributes say (:func:`clinprompt.data.assertion.assertion_of`): flags such as ``Negated`` are
        understood, and a problem of the family is one where ``family`` is a value of assertion. Then an attribute
        of this name with one of the values; where nothing is said the usual value.
        """
        for key, value in span.attributes.items():
            renamed = self.renames.get(f"{key}={value}", self.renames.get(key))
            if renamed is not None:
                return renamed
        given = [value for key, value in span.attributes.items() if key.casefold() == self.name.casefold()]
        spoken = {one.strip().casefold() for one in given}
        own = [value for value in self.values if value.casefold() in spoken]
        meant = _meanings(span)
        for meaning in MEANINGS.get(self.name, ()):
            # Conditional and hypothetical mean the same here; the attribute's own word tells them apart.
            fitting = [value for value in (*own, *self.values) if meaning_of(value) == meaning]
            if meaning in meant and fitting:
                return fitting[0]
        if own:
            return own[0]
        said_nothing = all(meaning_of(one) == "" for one in given)
        return (self.usual or None) if said_nothing else None

    def given(self, span: Span) -> str:
        """What the corpus says of this attribute, as a message names it."""
        said = [f"{key}={value}" for key, value in span.attributes.items() if key.casefold() == self.name.casefold()]
        return said[0] if said else f"no {self.name}"


def with_attributes(examples: Iterable[Example], asked: Sequence[Asked]) -> Iterator[Example]:
    """The examples whose spans have exactly the attributes asked for; the answers of a task of entities.

    Raises :class:`InputError` after the last that counts what the corpus says and the task does not have.
    """
    unknown: Counter[str] = Counter()

    def made(span: Span) -> Span:
        said = {}
        for one in asked:
            if not one.of or span.label in one.of:
                said[one.name] = one.value(span) or ""
                if not said[one.name]:
                    unknown[one.given(span)] += 1
        return replace(span, attributes=said)

    for example in examples:
        spans = tuple(made(span) for span in example.answer.spans)
        yield replace(example, answer=replace(example.answer, spans=spans))
    refuse_unknown(unknown)


def refuse_unknown(unknown: Counter[str]) -> None:
    """Raise :class:`InputError` when there are values that a task does not have."""
    if unknown:
        listed = ", ".join(f"{what} ({count} times)" for what, count in unknown.most_common(6))
        raise InputError(
            f"the data have attributes that the task does not have: {listed}",
            fix="add the values to the task, name what they mean in data.attribute_map, or give a usual value",
        )


def _meanings(span: Span) -> set[str]:
    said = assertion_of(span.attributes)
    return {one for one in MEANT if getattr(said, one)} | ({"other"} if said.person else set())
