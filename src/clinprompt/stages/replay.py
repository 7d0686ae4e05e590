"""Replay: earlier training examples among corrections, so that what a prompt knew is practised too."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from clinprompt.data.chance import draw_number
from clinprompt.data.overlap import NoteIndex, without_overlap
from clinprompt.errors import InputError
from clinprompt.schema.example import Example, Split
from clinprompt.stages.prepared import open_prepared
from clinprompt.tasks.task import Task


def replayed(folder: Path, task: Task, *, corrected: Sequence[Example], seed: int) -> list[Example]:
    """The training examples of a prepared folder in the order they are taken in, without notes that were corrected.

    Corrected notes, and notes near them, are left out: what a person has changed would be practised as it was before,
    and notes that score a prompt would be trained on. Raises :class:`InputError` for data of another task.
    """
    prepared = open_prepared(folder)
    for name in ("kind", "codec", "labels", "relations", "attributes"):
        if getattr(prepared.task, name) != getattr(task, name):
            raise InputError(
                f"the data to replay are of another task: its {name} differ from those of {task.name}",
                where=str(folder),
                fix="give the prepared folder that the prompt was trained on",
            )
    found, _ = without_overlap(prepared.part(Split.train), {"corrections": NoteIndex(corrected)})
    if not found:
        raise InputError("nothing is left to replay: every training note was corrected too, or there is none",
                         where=str(folder), fix="leave --replay out")  # fmt: skip
    return sorted(found, key=lambda one: (draw_number("replay", seed, one.id), one.id))


def with_replay(
    divided: Sequence[tuple[Split, Example]], replay: Sequence[Example], *, share: float
) -> list[tuple[Split, Example]]:
    """The examples with so many from ``replay`` that these are ``share`` of the training part, repeated if need be.

    However small the share, there is one where there is any: whoever asks for replay gets some.

    >>> from clinprompt.schema.example import Answer
    >>> divided = [(Split.train, Example("n", {"note": ""}, Answer(), "n"))] * 3 + [(Split.dev, None)]
    >>> [split.value for split, _ in with_replay(divided, [Example("r", {"note": ""}, Answer(), "r")], share=0.25)]
    ['train', 'train', 'train', 'dev', 'train']
    """
    own = sum(split is Split.train for split, _ in divided)
    wanted = max(1, round(own * share / (1 - share)))
    turns = math.ceil(wanted / len(replay)) if replay else 0
    more = [replace(one, id=f"replay-{turn}-{one.id}") for turn in range(turns) for one in replay]
    return [*divided, *((Split.train, one) for one in more[:wanted])]
