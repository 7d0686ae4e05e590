"""Rows of a batch as segments: ``[prompt] | BOS context [prompt] cue answer``, what rows share laid out once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

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


def lay_rows(
    rows: Sequence[Row],
    prompts: PromptVectors | None,
    *,
    bos: int | None,
    pad: int,
    pasts: Sequence[Tensor] | None = None,
) -> LaidRows:
    """Lay out rows with their answers; ``pasts`` are the states of their contexts (suffix prompts only).

    A prompt that stands before its rows is one segment for all of them; so is a context of several rows where nothing
    stands before it. The last answer token is only ever a target, never an input.
    """
    start = () if bos is None else (bos,)
    owners = (0,) * len(rows) if prompts is None else prompts.owners(len(rows))
    heads = [(start + row.context) for row in rows]
    common = Counter(heads)
    segments: list[Segment] = []
    made: dict[object, int] = {}
    last = []
    for b, (row, owner, head) in enumerate(zip(rows, owners, heads, strict=True)):
        before = after = vector = 0
        if prompts is not None:
            before, after = prompts.placement.split(prompts.length(owner))
            vector = owner * prompts.vectors.shape[1]
        parent, past, first = None, None, before
        if before:
            if owner not in made:
                made[owner] = len(segments)
                slots = [(j, vector + j) for j in range(before)]
                segments.append(Segment([pad] * before, slots=slots))
            parent = made[owner]
        elif pasts is not None:
            past, first, head = pasts[b], len(head), ()
        elif common[head] > 1:
            if head not in made:
                made[head] = len(segments)
                segments.append(Segment(head))
            parent, first, head = made[head], len(head), ()
        ids = [*head, *[pad] * after, *row.cue, *row.answer[:-1]]
        slots = [(len(head) + j, vector + before + j) for j in range(after)]
        last.append(len(segments))
        segments.append(Segment(ids, first=first, slots=slots, parent=parent, past=past))
    return LaidRows(segments, last)
