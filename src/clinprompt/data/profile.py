"""What a set of examples is like: sizes, lengths, repeats and balance."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from clinprompt.schema.example import Example

SHARES = (0.0, 0.5, 0.95, 1.0)
"""Of which share of the texts no one is longer: the shortest, the median, most, the longest."""


@dataclass(frozen=True, slots=True)
class Profile:
    """One part in numbers.

    ``notes`` and ``answers`` are the lengths of all notes and of all written answers, ascending, in the unit
    of the measure. ``repeated`` counts examples whose inputs are those of an earlier one, ``empty`` those
    with an empty note. ``labels`` counts classes, span labels and relation labels.
    """

    examples: int
    groups: int
    notes: tuple[int, ...]
    answers: tuple[int, ...]
    repeated: int
    empty: int
    labels: dict[str, int]

    @property
    def imbalance(self) -> float | None:
        """How many times the most frequent label is as frequent as the least frequent; ``None`` without two."""
        counts = sorted(self.labels.values())
        return counts[-1] / counts[0] if len(counts) > 1 else None


def profile(examples: Sequence[Example], *, measure: Callable[[str], int] = len) -> Profile:
    """Describe examples; ``measure`` gives a text's length, by default in characters."""
    labels: Counter[str] = Counter()
    for example in examples:
        answer = example.answer
        labels.update(span.label for span in answer.spans)
        labels.update(relation.label for relation in answer.relations)
        labels.update([answer.label] if answer.label is not None else [])
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
    )


def quantiles(lengths: Sequence[int]) -> tuple[int, ...]:
    """The smallest of the lengths that are at least as great as each of :data:`SHARES` of them; empty for none.

    >>> quantiles([1, 2, 3, 4])
    (1, 2, 4, 4)
    """
    if not lengths:
        return ()
    ordered, count = sorted(lengths), len(lengths)
    return tuple(ordered[max(0, -int(-share * count // 1) - 1)] for share in SHARES)
