"""How a stage reads long notes: its settings as windows, and the ledger of what was read."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from clinprompt.data.sections import load_rules
from clinprompt.errors import InputError
from clinprompt.inference.coverage import Coverage
from clinprompt.inference.long_notes import OVERLAP, LongNotes, Plan
from clinprompt.inference.predictor import Predictor, Question
from clinprompt.schema.example import SPAN_KINDS
from clinprompt.stages.atomic import write_text
from clinprompt.stages.configs import LongNoteSettings

LEDGER = "ledger.jsonl"
WINDOW = 600
"""Longest stretch of a note searched for spans or round a mention, in characters, where nothing else says one."""


def reader(predictor: Predictor, settings: LongNoteSettings) -> LongNotes:
    """What plans windows and answers plans, as the settings say; :class:`InputError` for a bad file of rules."""
    return LongNotes(
        predictor, choices=settings.choices, summaries=settings.summaries, rules=load_rules(settings.sections)
    )


def planned(
    notes: LongNotes, question: Question, settings: LongNoteSettings, *, longest: int | None, extent: int | None
) -> Plan:
    """The windows of one question: at most ``longest`` characters that share at least the ``extent`` of an answer item.

    Windows never share more than half of ``longest`` unless the settings say so. Raises :class:`InputError` for an
    overlap that is no shorter than the windows.
    """
    overlap = settings.overlap
    if overlap is None:
        overlap = OVERLAP if extent is None else extent
        overlap = overlap if longest is None else min(overlap, longest // 2)
    elif longest is not None and overlap >= longest:
        raise InputError(
            f"windows of {longest} characters cannot overlap by {overlap}",
            where=f"task {question.task.name}",
            allowed=f"an overlap of 0-{longest - 1}",
            fix="give a shorter --overlap or a longer --window",
        )
    return notes.plan(question, longest=longest, tokens=settings.window_tokens, overlap=overlap)


def planned_as_trained(
    notes: LongNotes, question: Question, settings: LongNoteSettings, *, window: int | None, extent: int | None
) -> Plan:
    """The windows of one question about a new note: spans in windows as in training, the rest in as few as can be.

    ``window`` is the longest stretch in characters where a person names one; else as :func:`planned`.
    """
    task, longest = question.task, None
    if task.kind in SPAN_KINDS:
        trained = task.data.window if task.data else None
        longest = window or (None if settings.window_tokens else trained or WINDOW)
    return planned(notes, question, settings, longest=longest, extent=extent)


def write_ledger(path: Path, lines: Sequence[Coverage]) -> None:
    """Write one JSON object per note and task: names and numbers, never text."""
    write_text(path, "".join(json.dumps(asdict(line), ensure_ascii=False) + "\n" for line in lines))
