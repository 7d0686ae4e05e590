"""Examples for the report, chosen by rule: the first that the best method got right, the first it got wrong."""

from __future__ import annotations

import json
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from clinprompt.data.records import prediction_of
from clinprompt.errors import InputError
from clinprompt.metrics import METRICS
from clinprompt.schema.example import Answer, Example, Split
from clinprompt.schema.prediction import DecodeReport, Prediction
from clinprompt.stages.prepared import Prepared
from clinprompt.study.score_table import TRIVIAL, shot_rank
from clinprompt.study.table import Cell

PREDICTIONS = "predictions.jsonl"


@dataclass(frozen=True, slots=True)
class ShownExample:
    """One test example with its gold and its predicted answer.

    ``slots`` are the input texts besides the note, ``choices`` the options of a question, ``score`` is the
    primary metric of this example alone in percent, ``raw`` the model's words.
    """

    target: str
    kind: str
    method: str
    shots: str
    example: str
    note: str
    slots: Mapping[str, str]
    gold: Answer
    predicted: Answer
    report: DecodeReport
    metric: str
    score: float
    choices: tuple[tuple[str, str], ...] = ()
    raw: str = ""

    @property
    def right(self) -> bool:
        """Whether nothing is missing and nothing is wrong, as the primary metric sees it."""
        return self.score >= 100.0


def choose_examples(
    cells: Sequence[Cell],
    prepared: Mapping[str, Prepared],
    *,
    per_target: int = 2,
    part: Split = Split.test,
) -> list[ShownExample]:
    """Per target, examples of the best-scoring method at the largest shot count (first seed and draw).

    The first right ones and the first wrong ones in the order of the data, half each when there are enough;
    examples with nothing to see come last. Raises :class:`InputError` for a prediction of an unknown example.
    """
    shown: list[ShownExample] = []
    for target, item in prepared.items():
        cell = best_run([cell for cell in cells if cell.record["task"] == target and cell.method != TRIVIAL])
        if cell is None:
            continue
        examples = {example.id: example for example in item.part(part)}
        file = cell.folder / PREDICTIONS
        found = []
        for number, line in enumerate(file.read_text(encoding="utf-8").split("\n")[:-1], start=1):
            prediction = prediction_of(json.loads(line), where=f"{file}, line {number}")
            if prediction.example not in examples:
                raise InputError(
                    f"the {part.value} part has no example {prediction.example!r}, of which this prediction is",
                    where=f"{file}, line {number}",
                )
            found.append(_shown(cell, item, examples[prediction.example], prediction))
        shown += _some(found, count=per_target)
    return shown


def best_run(cells: Sequence[Cell]) -> Cell | None:
    """The first run of the method with the highest mean at the largest shot count."""
    most = max((shot_rank(str(cell.record["shots"])) for cell in cells), default=None)
    runs: dict[str, list[Cell]] = {}
    for cell in cells:
        if shot_rank(str(cell.record["shots"])) == most:
            runs.setdefault(cell.method, []).append(cell)
    if not runs:
        return None
    best = max(runs.values(), key=lambda group: statistics.fmean(_score(cell) for cell in group))
    return min(best, key=lambda cell: (cell.seed, cell.record["draw"]))


def _score(cell: Cell) -> float:
    return float(cell.record["scores"][0]["value"])


def _shown(cell: Cell, item: Prepared, example: Example, prediction: Prediction) -> ShownExample:
    metric = METRICS[item.task.metrics[0]](item.task.labels)
    return ShownExample(
        target=item.task.name,
        kind=item.task.kind.value,
        method=cell.method,
        shots=str(cell.record["shots"]),
        example=example.id,
        note=example.note,
        slots={name: text for name, text in example.inputs.items() if name != "note"},
        gold=example.answer,
        predicted=prediction.answer,
        report=prediction.report,
        metric=metric.name,
        score=float(metric.value(metric.counts(example, prediction.answer))),
        choices=example.choices,
        raw=prediction.raw,
    )


def _some(found: Sequence[ShownExample], *, count: int) -> list[ShownExample]:
    ordered = sorted(found, key=lambda shown: not _has_content(shown))  # stable: the order of the data
    right = [shown for shown in ordered if shown.right]
    wrong = [shown for shown in ordered if not shown.right]
    rights = max((count + 1) // 2, count - len(wrong))
    chosen = right[:rights]
    return chosen + wrong[: count - len(chosen)]


def _has_content(shown: ShownExample) -> bool:
    """Whether there is anything to see; relations count only when the task is about them."""
    if shown.kind == "relations":
        return bool(shown.gold.relations or shown.predicted.relations)
    gold = shown.gold
    return bool(gold.spans or shown.predicted.spans or gold.label or gold.text)
