"""Useful arithmetic of a training step: the least that any way of doing it must compute."""

from __future__ import annotations

from collections.abc import Sequence

from benchmarks.models import Size
from clinprompt.backbones.protocol import Row


def step_operations(
    size: Size, rows: Sequence[Row], *, vocabulary: int, vectors: int, notes_read: bool = False
) -> float:
    """Floating-point operations of one forward and backward with frozen weights: 4·F·tokens + 4·V·H·A.

    Two operations per weight forwards and two for the gradient of the activations; weights have none. ``vectors``
    counts the prompt vectors that must be run: a prefix prompt once per step however many rows share it, a suffix
    prompt once per row. With ``notes_read`` contexts and BOS are not run at all. ``A`` counts answer tokens, for which
    alone the output head is needed. Attention is left out, so the true figure is a little higher.
    """
    tokens = sum(row.length - (1 + len(row.context) if notes_read else 0) for row in rows)
    answers = sum(len(row.answer) for row in rows)
    return 4.0 * size.weights * (tokens + vectors) + 4.0 * vocabulary * size.width * answers
