"""Where a pretraining run stands, and the file that keeps its curve."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path

CURVE = "pretraining.jsonl"


@dataclass(frozen=True, slots=True)
class Progress:
    """After a step: tokens read, losses in nats per token (running means), ``minutes`` over resumed runs.

    ``chunk`` and ``batch`` number the sequences drawn together and the next batch of them.
    """

    step: int = 0
    tokens: int = 0
    minutes: float = 0.0
    chunk: int = 0
    batch: int = 0
    answer_loss: float = math.nan
    note_loss: float = math.nan

    @property
    def tokens_per_second(self) -> float:
        """Mean speed since the beginning."""
        return self.tokens / max(60 * self.minutes, 1e-9)

    def after(
        self, chunk: int, index: int, *, tokens: int, answer_loss: float, note_loss: float, minutes: float
    ) -> Progress:
        """The progress after one more batch of this loss."""
        return Progress(
            step=self.step + 1,
            tokens=self.tokens + tokens,
            minutes=minutes,
            chunk=chunk,
            batch=index + 1,
            answer_loss=_smooth(self.answer_loss, answer_loss),
            note_loss=_smooth(self.note_loss, note_loss),
        )


def _smooth(mean: float, value: float) -> float:
    if math.isnan(value):  # a batch that drew no token of a note
        return mean
    return value if math.isnan(mean) else 0.98 * mean + 0.02 * value


def cut_curve(folder: Path, *, tokens: int) -> None:
    """Drop the lines of a broken-off run that lie behind the checkpoint it goes on from."""
    path = folder / CURVE
    if path.exists():
        lines = path.read_text(encoding="utf-8").splitlines()
        kept = [line for line in lines if json.loads(line)["tokens"] <= tokens]
        path.write_text("".join(f"{line}\n" for line in kept), encoding="utf-8")


def extend_curve(folder: Path, now: Progress) -> None:
    """Append where the run stands as one JSON line."""
    folder.mkdir(parents=True, exist_ok=True)
    point = {
        "step": now.step,
        "tokens": now.tokens,
        "answer_loss": round(now.answer_loss, 4),
        "note_loss": None if math.isnan(now.note_loss) else round(now.note_loss, 4),
        "minutes": round(now.minutes, 2),
    }
    with (folder / CURVE).open("a", encoding="utf-8") as file:
        file.write(json.dumps(point) + "\n")
