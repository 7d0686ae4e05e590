"""What a run of predictions did, counted over all its parts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from clinprompt.inference.long_notes import WHOLE
from clinprompt.schema.prediction import DecodeReport
from clinprompt.stages.batch.part import Part


@dataclass(frozen=True, slots=True)
class PredictReport:
    """What was read and written: notes, windows, characters, spans, relations, attributes, the answers' faults, and
    what the format cannot hold, counted.

    ``windowed`` counts notes that some task read in several windows, ``truncated`` characters that were not read,
    ``pairs_apart`` mentions that a relation could join and no window held together; the file ``ledger`` has them by
    note and task. ``overlaps`` says, for tasks whose windows share less than the longest answer item of their training
    data, how much they share and how long that is. ``grounding`` counts the models' answers by how they were grounded,
    ``unconstrained`` says why they could not be constrained although that was asked for,
    ``remarks`` what else there is to say of the engine. ``failed`` notes are not among
    ``notes``; the file ``dead_letters`` names them. Of a share of the notes nothing is written while others still owe
    ``waiting`` shards.
    """

    notes: int
    windows: int
    windowed: int
    characters: int
    truncated: int
    pairs_apart: int
    overlaps: Mapping[str, tuple[int, int]]
    spans: int
    relations: int
    attributes: int
    answers: int
    decoding: DecodeReport
    lost: Mapping[str, int]
    ledger: Path
    grounding: Mapping[str, int]
    unconstrained: str = ""
    remarks: tuple[str, ...] = ()
    failed: int = 0
    dead_letters: Path | None = None
    waiting: int = 0


@dataclass
class Tally:
    """Sums over parts in their order."""

    counts: Counter[str] = field(default_factory=Counter)
    decoding: DecodeReport = field(default_factory=DecodeReport)
    grounding: Counter[str] = field(default_factory=Counter)
    shared: dict[str, int] = field(default_factory=dict)
    strategies: dict[str, str] = field(default_factory=dict)
    provenance: dict[str, Any] = field(default_factory=dict)
    unconstrained: str = ""
    remarks: dict[str, None] = field(default_factory=dict)

    def add(self, part: Part, *, extents: Mapping[str, int]) -> None:
        """Take in a part; ``extents`` are the longest answer items of the tasks' training data, in characters."""
        self.provenance = self.provenance or dict(part.provenance)
        self.unconstrained = self.unconstrained or part.unconstrained
        self.remarks |= dict.fromkeys(part.remarks)
        self.counts["failed"] += len(part.failed)
        self.counts["notes"] += len(part.answered)
        for note in part.answered.values():
            answer = note.answer
            self.decoding += answer.decoding
            self.grounding.update(answer.grounding)
            self.counts.update(
                characters=answer.characters,
                spans=len(answer.spans),
                relations=len(answer.relations),
                attributes=sum(len(span.attributes) for span in answer.spans),
                answers=len(answer.answers),
                windowed=any(line.get("strategy", WHOLE) != WHOLE for line in answer.ledger),
            )
            for line in answer.ledger:
                self._line(line, extents)

    def report(
        self, *, lost: Mapping[str, int], ledger: Path, extents: Mapping[str, int], **more: Any
    ) -> PredictReport:
        """The sums as a report."""
        names = ("notes", "windows", "windowed", "characters", "truncated", "pairs_apart", "spans", "relations",
                 "attributes", "answers", "failed")  # fmt: skip
        return PredictReport(
            **{name: self.counts[name] for name in names},
            overlaps={name: (least, extents[name]) for name, least in self.shared.items()},
            decoding=self.decoding,
            lost=lost,
            ledger=ledger,
            grounding=dict(self.grounding),
            unconstrained=self.unconstrained,
            remarks=tuple(self.remarks),
            **more,
        )

    def _line(self, line: Mapping[str, Any], extents: Mapping[str, int]) -> None:
        task = line["task"]
        self.counts.update({name: line.get(name, 0) for name in ("windows", "truncated", "pairs_apart")})
        if line.get("strategy", WHOLE) != WHOLE:
            self.strategies[task] = line["strategy"]
        if line["windows"] > 1 and line.get("overlap", 0) < extents.get(task, 0):
            self.shared[task] = min(line["overlap"], self.shared.get(task, line["overlap"]))
