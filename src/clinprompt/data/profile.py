"""What a set of examples is like: sizes, lengths, repeats and balance."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

from clinprompt.schema.example import Example

SHARES = (0.0, 0.5, 0.95, 1.0)
"""Of which share of the texts no one is longer: the shortest, the median, most, the longest."""

LONGEST_VALUE, MOST_VALUES = 40, 24
"""Characters of a class, and classes of an attribute, at most: beyond that they are words of people."""
IDS = ("concept", "score")
"""Attributes whose values are ids or numbers."""
FLAG, OTHERS = "(flag)", "(other values)"


@dataclass(frozen=True, slots=True)
class Profile:
    """One part in numbers.

    ``notes`` and ``answers`` are the lengths of all notes and of all written answers, ascending, in the unit
    of the measure. ``repeated`` counts examples whose inputs are those of an earlier one, ``empty`` those
    with an empty note. ``labels`` counts classes, span labels and relation labels, ``attributes`` the values of each
    attribute of the spans by label: ``{"Drug": {"assertion": {"absent": 3}}}``, without what could be words of a note.
    """

    examples: int
    groups: int
    notes: tuple[int, ...]
    answers: tuple[int, ...]
    repeated: int
    empty: int
    labels: dict[str, int]
    attributes: dict[str, dict[str, dict[str, int]]]

    @property
    def imbalance(self) -> float | None:
        """How many times the most frequent label is as frequent as the least frequent; ``None`` without two."""
        counts = sorted(self.labels.values())
        return counts[-1] / counts[0] if len(counts) > 1 else None


def profile(
    examples: Sequence[Example], *, measure: Callable[[str], int] = len, known: Collection[str] = ()
) -> Profile:
    """Describe examples; ``measure`` gives a text's length, by default in characters, ``known`` are attribute values
    that the task names.
    """
    labels: Counter[str] = Counter()
    said: Counter[tuple[str, str, str]] = Counter()
    for example in examples:
        answer = example.answer
        labels.update(span.label for span in answer.spans)
        labels.update(relation.label for relation in answer.relations)
        labels.update([answer.label] if answer.label is not None else [])
        said.update((span.label, name, value) for span in answer.spans for name, value in span.attributes.items())
    distinct = {tuple(sorted(example.inputs.items())) for example in examples}
    # One note often stands in many examples; it is measured once.
    lengths = {note: measure(note) for note in {example.note for example in examples}}
    return Profile(
        examples=len(examples),
        groups=len({example.group for example in examples}),
        notes=tuple(sorted(lengths[example.note] for example in examples)),
        answers=tuple(sorted(measure(text) for e in examples if (text := e.answer.text) is not None)),
        repeated=len(examples) - len(distinct),
        empty=sum(not example.note.strip() for example in examples),
        labels=dict(sorted(labels.items())),
        attributes=_values(said, known),
    )


def _values(said: Counter[tuple[str, str, str]], known: Collection[str]) -> dict[str, dict[str, dict[str, int]]]:
    """Counts by label, attribute and value, the most frequent first.

    A value that is not ``known`` may be somebody's words: it is named only when it is short, stands more than once, and
    its attribute is no remark or id of a format, whose names hold a blank. The others are counted as :data:`OTHERS`.
    """
    found: dict[str, dict[str, dict[str, int]]] = {}
    times = Counter[tuple[str, str]]()
    for (_, name, value), count in said.items():
        times[name, value] += count
    for (label, name, value), count in sorted(said.items(), key=lambda item: (item[0][:2], -item[1], item[0][2])):
        values = found.setdefault(label, {}).setdefault(name, {})
        is_class = times[name, value] > 1 and len(value) <= LONGEST_VALUE and " " not in name and name not in IDS
        named = value in known or (is_class and len(values) < MOST_VALUES)
        shown = (value or FLAG) if named else OTHERS
        values[shown] = values.get(shown, 0) + count
    return found


def quantiles(lengths: Sequence[int]) -> tuple[int, ...]:
    """The smallest of the lengths that are at least as great as each of :data:`SHARES` of them; empty for none.

    >>> quantiles([1, 2, 3, 4])
    (1, 2, 4, 4)
    """
    if not lengths:
        return ()
    ordered, count = sorted(lengths), len(lengths)
    return tuple(ordered[max(0, -int(-share * count // 1) - 1)] for share in SHARES)
