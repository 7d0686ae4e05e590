"""What a model said about one example, read back into an answer, with everything that went wrong counted."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from clinprompt.schema.example import Answer


@dataclass(frozen=True, slots=True)
class DecodeReport:
    """Counts of one answer: items read, not readable, not in the note, said before, and mentions with several places.

    ``unreadable`` counts items that do not have the answer's form or name a label outside the schema;
    ``unlocated`` items whose words are not in the note (dropped, never invented); ``repeated`` items that say what an
    earlier one of the answer said (dropped); ``ambiguous`` located mentions whose words stand in more than one place;
    ``truncated`` is 1 when the length limit cut the answer.
    """

    items: int = 0
    unreadable: int = 0
    unlocated: int = 0
    ambiguous: int = 0
    truncated: int = 0
    repeated: int = 0

    def __add__(self, other: DecodeReport) -> DecodeReport:
        return DecodeReport(
            self.items + other.items,
            self.unreadable + other.unreadable,
            self.unlocated + other.unlocated,
            self.ambiguous + other.ambiguous,
            self.truncated + other.truncated,
            self.repeated + other.repeated,
        )


@dataclass(frozen=True, slots=True)
class Prediction:
    """A decoded answer with its report, the raw answer text and where it comes from.

    ``ambiguous`` are the ids of spans whose words stand in several places of what was read, and whose place was taken
    by the order of the answer alone. ``items`` says which item of the raw text, from 0, said a span or a relation (by
    its id), ``scores`` how sure the model was of it, ``score`` of the whole answer: shares of probability, not
    calibrated (:mod:`clinprompt.inference.scores`).
    """

    example: str
    answer: Answer
    report: DecodeReport = DecodeReport()
    raw: str = ""
    ambiguous: tuple[str, ...] = ()
    items: Mapping[str, int] = field(default_factory=lambda: MappingProxyType({}), hash=False, compare=False)
    scores: Mapping[str, float] = field(default_factory=lambda: MappingProxyType({}), hash=False, compare=False)
    score: float | None = field(default=None, compare=False)
    provenance: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}), hash=False)
