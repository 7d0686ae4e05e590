"""Adapted cells to predictions and scores, each with interval, n and what could not be read."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

from clinprompt.data.limit import limited
from clinprompt.data.records import prediction_record
from clinprompt.errors import InputError
from clinprompt.evaluation.score import check_metrics, score_task, task_counts
from clinprompt.inference.coverage import across, coverage
from clinprompt.inference.long_notes import WHOLE, Plan
from clinprompt.registry import unknown_name
from clinprompt.schema.example import Example, Split
from clinprompt.schema.prediction import Prediction
from clinprompt.stages.adapted import Adapted, applied, open_adapted
from clinprompt.stages.atomic import write_json, write_text
from clinprompt.stages.banked import prompt_path
from clinprompt.stages.configs import EvaluateSettings
from clinprompt.stages.earlier import counts_by_run
from clinprompt.stages.error_files import write_errors
from clinprompt.stages.opened import Opened, open_backbone
from clinprompt.stages.prepared import Prepared, open_prepared
from clinprompt.stages.progress import Advance, Progress, silent
from clinprompt.stages.reading import LEDGER, planned, reader, write_ledger
from clinprompt.stages.run_folder import RunFolder, open_run
from clinprompt.stages.scores import COUNTS, END_TO_END, FILE, GIVEN_HEADS, GOLD_HEADS
from clinprompt.stages.taken_scores import taken_scores
from clinprompt.tasks.task import Task

STAGE, VERSION = "evaluate", 4


def evaluate(
    settings: EvaluateSettings,
    *,
    runs: Path,
    opened: Opened | None = None,
    progress: Progress = silent,
    force: bool = False,
) -> RunFolder:
    """Score every cell of an adapt run; writes ``outputs/scores.json``; predictions, counts and errors per cell.

    Cells that a finished run has scored alike are taken from there (see ``taken_scores``; none with ``force``).
    """
    adapted = prompt_path(settings.adapted, key=settings.bank_key)
    settings = settings.model_copy(update={"adapted": adapted, "bank_key": None})  # a run is named by what it scores
    opened = opened or open_backbone(settings.backbone)
    opened.check_decoding(settings.decoding)  # recipes set `answer_tokens` for backbones of both kinds
    prepared = _prepared(settings)
    run = open_run(
        runs,
        stage=STAGE,
        version=VERSION,
        config=settings,
        inputs={"adapted": settings.adapted}
        | _rules(settings)
        | _own(settings)
        | {name: item.path for name, item in prepared.items()},
        fingerprints={"backbone": opened.backbone.fingerprint},
        force=force,
        together=settings.backbone.sharded,
    )
    if run.done:
        return run
    with run:
        outputs, cells = open_adapted(settings.adapted, opened.identity)
        cells = [c for c in cells if not c.failed and (not settings.elsewhere or c.task in settings.elsewhere)]
        missing = sorted({cell.task for cell in cells} - set(prepared))
        if missing:
            raise InputError(f"the run has cells of tasks that are not among the targets: {', '.join(missing)}")
        parts = {name: _part(item, settings) for name, item in prepared.items()}
        for item in prepared.values():
            check_metrics(item.task)
        taken = {} if force else taken_scores(run, outputs, cells, tasks=prepared, together=settings.backbone.sharded)
        records = []
        heads = GIVEN_HEADS if settings.decoding.gold_heads else END_TO_END
        unaskable = cache(lambda name: opened.unaskable(parts[name], prepared[name].task))
        todo = sum(len(parts[cell.task]) for cell in cells if cell.key not in taken)
        with progress(STAGE, todo) as advance, run.processes.guarded():
            for cell in cells:
                if cell.key in taken:
                    records.append(taken[cell.key])
                    continue
                item, examples = prepared[cell.task], parts[cell.task]
                said = _predict(opened, outputs, cell, item, examples, settings, advance)
                folder = run.outputs / cell.key if run.writes else None
                records.append(
                    asdict(cell)
                    | _record(item, examples, said.predictions, settings, folder)
                    | ({"heads": heads} if opened.asks_twice(item.task) else {})
                    | _beside("likelihood", item, examples, said.likeliest, settings)
                    | _beside("gold_heads", item, examples, said.gold_heads, settings, folder and folder / GOLD_HEADS)
                    | {"long_notes": _long_notes(run, cell, said.plans, said.predictions)}
                    | ({"unaskable": asdict(found)} if (found := unaskable(cell.task)) else {})
                )
        if run.writes:
            reason = opened.unconstrained(settings.decoding)
            write_json(run.outputs / FILE, {"part": settings.part, "unconstrained": reason, "cells": records})
        run.finish({"cells": len(records), "taken": counts_by_run(run.path) if taken else {}})
    return run


def _prepared(settings: EvaluateSettings) -> dict[str, Prepared]:
    """The targets by name; one that is scored elsewhere has the examples from there and its own words."""
    found = {item.task.name: item for item in map(open_prepared, settings.targets)}
    for name, path in settings.elsewhere.items():
        if name not in found:
            raise unknown_name("target", name, found)
        other, task = open_prepared(path), found[name].task
        if differing := _differing(other.task, task):
            raise InputError(
                f"{other.task.name} and {name} differ in their {differing}, so one's examples cannot be asked in the "
                "words of the other",
                where="elsewhere",
                allowed=", ".join(task.labels) or task.kind.value,
                fix="map the labels with `data.label_map` in the task file",
            )
        found[name] = replace(other, task=task)
    return found


def _differing(one: Task, other: Task) -> str:
    """In what two tasks' answers differ; empty where one's can be scored as the other's."""
    parts = {name: (getattr(one, name), getattr(other, name)) for name in ("kind", "codec", "relations")} | {
        "labels": (set(one.labels), set(other.labels)),
        "attributes": tuple({name: set(a.values) for name, a in task.attributes.items()} for task in (one, other)),
    }
    return ", ".join(name for name, (mine, theirs) in parts.items() if mine != theirs)


def _own(settings: EvaluateSettings) -> dict[str, Path]:
    """The targets whose words are asked elsewhere, which the scores depend on too."""
    targets = [open_prepared(path) for path in settings.targets] if settings.elsewhere else []
    return {f"{item.task.name}, its words": item.path for item in targets if item.task.name in settings.elsewhere}


def _rules(settings: EvaluateSettings) -> dict[str, Path]:
    return {"sections": settings.long_notes.sections} if settings.long_notes.sections else {}


def _part(item: Prepared, settings: EvaluateSettings) -> list[Example]:
    examples = item.part(Split(settings.part))
    if not examples:
        raise InputError(
            f"the task has no {settings.part} part",
            where=f"task {item.task.name}",
            allowed=", ".join(item.manifest.parts),
        )
    return limited(examples, settings.limit)


@dataclass(frozen=True, slots=True)
class _Said:
    """How each example was read, and the answers.

    Beside them the likeliest ones of classes and multiple choice, and relations of the annotated heads by encoders.
    """

    plans: list[Plan]
    predictions: list[Prediction]
    likeliest: Sequence[Prediction | None] = ()
    gold_heads: Sequence[Prediction | None] = ()


def _predict(
    opened: Opened,
    outputs: Path,
    cell: Adapted,
    item: Prepared,
    examples: list[Example],
    settings: EvaluateSettings,
    advance: Advance,
) -> _Said:
    opened = opened.suited(cell.method, [item.task])
    with applied(opened, outputs, cell) as given:
        notes = reader(opened.predictor(settings.decoding, tokens=settings.answer_tokens), settings.long_notes)
        questions = [given.question(example, item.task, opened.template, name=cell.key) for example in examples]
        window = item.task.data.window if item.task.data else None
        plans = [
            planned(notes, question, settings.long_notes, longest=window, extent=item.extent) for question in questions
        ]
        left = len(questions)

        def watch(rows: int) -> None:
            nonlocal left
            advance(min(rows, left))  # the bar counts examples, of which some are read in several windows
            left -= min(rows, left)

        predictions = notes.answers(plans, watch=watch)
        likeliest: Sequence[Prediction | None] = ()
        if settings.likelihood and settings.decoding.kind != "choices":
            likeliest = notes.likeliest(plans)
        heads: Sequence[Prediction | None] = ()
        twice = opened.asks_twice(item.task) and not settings.decoding.gold_heads
        if twice and all(plan.strategy == WHOLE for plan in plans):
            gold = settings.decoding.model_copy(update={"gold_heads": True})
            heads = opened.predictor(gold, tokens=settings.answer_tokens).predict(questions)
        return _Said(plans, predictions, likeliest, heads)


def _long_notes(run: RunFolder, cell: Adapted, plans: list[Plan], predictions: list[Prediction]) -> dict[str, Any]:
    """What was read in windows, and what of the gold answers no window held; the ledger has a line for each."""
    long = [(plan, found) for plan, found in zip(plans, predictions, strict=True) if plan.strategy != WHOLE]
    lines = [coverage(plan, found) for plan, found in long]
    lost = [across(plan.question.example.answer, plan.places) for plan, _ in long]
    if run.writes and lines:
        write_ledger(run.outputs / cell.key / LEDGER, lines)
    return {
        "examples": len(lines),
        "windows": sum(line.windows for line in lines),
        "truncated": sum(line.truncated for line in lines),
        "strategies": sorted({plan.strategy for plan, _ in long}),
        "spans_across": sum(spans for spans, _ in lost),
        "relations_across": sum(relations for _, relations in lost),
    }


def _record(
    item: Prepared,
    examples: list[Example],
    predictions: Sequence[Prediction],
    settings: EvaluateSettings,
    folder: Path | None = None,
) -> dict[str, Any]:
    """The scores of predictions with what they rest on; the predictions, counts and errors go to ``folder``."""
    scores = score_task(item.task, examples, predictions, resamples=settings.resamples, seed=settings.seed)
    lines = [json.dumps(prediction_record(found), ensure_ascii=False) for found in predictions]
    if folder:
        write_text(folder / "predictions.jsonl", "\n".join(lines) + "\n")
        write_json(folder / COUNTS, task_counts(item.task, examples, predictions))
        write_errors(folder, item.task, examples, predictions)
    return {
        "kind": item.task.kind.value,
        "group": item.task.group,
        "grounding": dict(Counter(found.provenance["grounding"] for found in predictions)),
        **scores.record(),
    }


def _beside(
    name: str,
    item: Prepared,
    examples: list[Example],
    said: Sequence[Prediction | None],
    settings: EvaluateSettings,
    folder: Path | None = None,
) -> dict[str, Any]:
    """The scores and the report of another way to answer, where it answers every example."""
    found = [prediction for prediction in said if prediction is not None]
    if not found or len(found) < len(examples):
        return {}
    record = _record(item, examples, found, settings, folder)
    return {name: record["scores"], f"{name}_report": record["report"]}
