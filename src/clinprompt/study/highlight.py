"""Gold and predicted spans of a note as marks that say which of them are right."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from clinprompt.data.marked_text import lanes
from clinprompt.schema.document import Fragment, Span

Verdict = Literal["correct", "missed", "spurious"]
SYMBOLS: dict[Verdict, str] = {"correct": "✓", "missed": "−", "spurious": "+"}


@dataclass(frozen=True, slots=True)
class Mark:
    """One span as drawn: what it is, and the lane (0 next to the text) in which its line runs."""

    verdict: Verdict
    label: str
    fragments: tuple[Fragment, ...]
    lane: int

    @property
    def name(self) -> str:
        """The class of its elements."""
        return self.verdict

    @property
    def tag(self) -> str:
        """Symbol and label, shown once where the span begins."""
        return f"{SYMBOLS[self.verdict]} {self.label}"

    @property
    def title(self) -> str:
        """What a pointer on it shows."""
        return f"{self.verdict}: {self.label}"

    @property
    def gap_title(self) -> str:
        """What a pointer on the gap between two fragments shows."""
        return f"gap inside {self.label}"


def marks(gold: Sequence[Span], predicted: Sequence[Span]) -> list[Mark]:
    """Gold and predicted spans judged as the strict metric does, the shorter ones nearer to the text.

    Marks that share a stretch of text never share a lane.
    """
    expected, given = {span.key for span in gold}, {span.key for span in predicted}
    keys = sorted(expected | given, key=lambda key: (key[1][-1][1] - key[1][0][0], key[1], key[0]))
    placed = []
    for key, lane in zip(keys, lanes([fragments for _, fragments in keys]), strict=True):
        verdict: Verdict = "spurious" if key not in expected else "correct" if key in given else "missed"
        placed.append(Mark(verdict, *key, lane))
    return sorted(placed, key=lambda mark: (mark.fragments, mark.label))
