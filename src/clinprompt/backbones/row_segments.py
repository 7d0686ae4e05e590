"""Rows of a batch as segments: ``[prompt] | BOS context [prompt] cue answer``, what rows share laid out once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from itertools import accumulate
from operator import add

from torch import Tensor

from clinprompt.backbones.pack import Segment
from clinprompt.backbones.protocol import PromptVectors, Row


@dataclass(frozen=True, slots=True)
class LaidRows:
    """Segments of a batch and which of them ends with each row's answer."""

    segments: list[Segment]
    last: list[int]

    def answers(self, rows: Sequence[Row], starts: Sequence[int]) -> tuple[list[int], list[int], list[int]]:
        """Rows, places whose next token is an answer token, and these tokens; ``starts`` are the segments' places."""
        row_of: list[int] = []
        places: list[int] = []
        targets: list[int] = []
        for b, (row, i) in enumerate(zip(rows, self.last, strict=True)):
            end = starts[i] + len(self.segments[i].ids)
            row_of += [b] * len(row.answer)
            places += range(end - len(row.answer), end)
            targets += row.answer
        return row_of, places, targets


@dataclass(frozen=True, slots=True)
class _Part:
    """A stretch of a row and what tells it from others, given that all before it is the same."""

    key: Hashable
    ids: tuple[int, ...]
    slots: tuple[tuple[int, int], ...] = ()


def lay_rows(
    rows: Sequence[Row],
    prompts: PromptVectors | None,
    *,
    bos: int | None,
    pad: int,
    pasts: Sequence[Tensor] | None = None,
    with_answers: bool = True,
) -> LaidRows:
    """Lay out rows one behind the other.

    What several rows begin with is laid out once: a prompt before its rows, a note of several tasks, a question whose
    answers are compared. The last answer token is only ever a target, never an input. ``pasts`` are states that were
    run before and stand for each row's first tokens: a prompt that stands before everything, or the context, or both.
    """
    start = () if bos is None else (bos,)
    owners = (0,) * len(rows) if prompts is None else prompts.owners(len(rows))
    parts = [_parts(row, owner, prompts, start, pad, with_answers) for row, owner in zip(rows, owners, strict=True)]
    laid = LaidRows([], [])
    if pasts is None:
        _lay_shared(laid, parts)
    else:
        for line, past in zip(parts, pasts, strict=True):
            ids, slots = _joined(line)
            done = past.shape[3]
            laid.last.append(len(laid.segments))
            later = [(offset - done, vector) for offset, vector in slots if offset >= done]
            laid.segments.append(Segment(ids[done:], first=done, slots=later, past=past))
    return laid


def _lay_shared(laid: LaidRows, parts: Sequence[Sequence[_Part]]) -> None:
    """Lay rows out as a tree that branches where rows begin to differ."""
    paths = [list(accumulate(((part.key,) for part in line), add)) for line in parts]
    rows_with = Counter(path for line in paths for path in line)
    made: dict[Hashable, int] = {}
    for line, path in zip(parts, paths, strict=True):
        branches = [i for i in range(len(line) - 1) if rows_with[path[i]] > rows_with[path[i + 1]]]
        parent, done = None, 0
        for i in [*branches, len(line) - 1]:
            known = i in branches and path[i] in made
            ids, slots = _joined(line[done : i + 1])
            if not known and (ids or i not in branches):
                made[path[i]] = len(laid.segments)
                first = sum(len(part.ids) for part in line[:done])
                laid.segments.append(Segment(ids, first=first, slots=slots, parent=parent))
            if known or ids:
                parent, done = made[path[i]], i + 1
        assert parent is not None
        laid.last.append(parent)


def _joined(parts: Sequence[_Part]) -> tuple[list[int], list[tuple[int, int]]]:
    """Ids of the parts together and their slots."""
    ids: list[int] = []
    slots: list[tuple[int, int]] = []
    for part in parts:
        slots += [(len(ids) + offset, vector) for offset, vector in part.slots]
        ids += part.ids
    return ids, slots


def _parts(
    row: Row, owner: int, prompts: PromptVectors | None, start: tuple[int, ...], pad: int, with_answers: bool
) -> list[_Part]:
    """A row as: prompt before (if any), context, prompt after with the cue but its last token, that and the answer."""
    before = after = vector = 0
    if prompts is not None:
        before, after = prompts.placement.split(prompts.length(owner))
        vector = owner * prompts.vectors.shape[-2]
    parts = []
    if before:
        parts.append(_Part(("prompt", owner), (pad,) * before, tuple((j, vector + j) for j in range(before))))
    parts.append(_Part(row.context, start + row.context))
    slots = tuple((j, vector + before + j) for j in range(after))
    parts.append(_Part((owner if after else None, row.cue[:-1]), (pad,) * after + row.cue[:-1], slots))
    # The answer's first token is read off the last token of the cue, so these two stay together.
    parts.append(_Part((row.cue[-1:], row.answer), row.cue[-1:] + (row.answer[:-1] if with_answers else ())))
    return parts
