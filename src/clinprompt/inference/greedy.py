"""Greedy answers, rows coming and going: a row is admitted as soon as others have made room."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from clinprompt.backbones.causal import CausalBackbone
from clinprompt.backbones.decoding import Decoding, Line
from clinprompt.backbones.protocol import Generation, RawAnswer
from clinprompt.inference.constraint import Constraint, likeliest
from clinprompt.inference.draft import Draft

Start = Callable[[Sequence[int]], tuple[Tensor, list[Line]]]
"""Numbers of waiting rows to the logits ``[B, V]`` of their first tokens and their lines."""

Allowed = Callable[[int], Constraint | None]
"""Number of a row to what its answer may be; ``None``: anything."""


@dataclass(slots=True)
class _Writing:
    """An answer so far with its line; ``at`` is its place in the current layout."""

    row: int
    line: Line
    draft: Draft
    at: int = 0


class Greedy:
    """Writes the likeliest allowed token again and again until an end token, a stop text or the limit.

    A row's constraint looks at that row alone, so that no answer depends on its neighbours.
    """

    def __init__(
        self,
        backbone: CausalBackbone,
        generation: Generation,
        *,
        rows: int = 64,
        allowed: Allowed = lambda row: None,
    ) -> None:
        self.backbone, self.generation, self.rows, self.allowed = backbone, generation, rows, allowed
        self.live: list[_Writing] = []
        self.decoding: Decoding | None = None

    def run(self, waiting: Sequence[int], start: Start) -> Iterator[tuple[int, RawAnswer]]:
        """Yield each row's answer as soon as it is finished."""
        queue = deque(waiting)
        while queue or self.live:
            if queue and len(self.live) <= 3 * self.rows // 4:
                admitted = [queue.popleft() for _ in range(min(len(queue), self.rows - len(self.live)))]
                yield from self._admit(admitted, start)
            elif self.decoding is not None and len(self.live) <= len(self.decoding.lines) // 2:
                self._pause()  # finished rows are carried along until half of them are
            yield from self._step()

    def _admit(self, admitted: list[int], start: Start) -> Iterator[tuple[int, RawAnswer]]:
        logits, lines = start(admitted)
        self._pause()
        new = [_Writing(row, line, Draft(self.allowed(row))) for row, line in zip(admitted, lines, strict=True)]
        yield from self._write(new, likeliest(logits, [one.draft.constraint for one in new]))

    def _pause(self) -> None:
        """Take the lines out of the layout; the next step makes a new one."""
        if self.decoding is not None:
            for writing in self.live:
                writing.line = self.decoding.line(writing.at)
            self.decoding = None

    def _step(self) -> Iterator[tuple[int, RawAnswer]]:
        if not self.live:
            return
        if self.decoding is None:
            self.decoding = Decoding([writing.line for writing in self.live], device=self.backbone.device)
            for at, i in enumerate(self.decoding.order):
                self.live[i].at = at
        tokens = [0] * len(self.decoding.lines)
        for writing in self.live:
            tokens[writing.at] = writing.draft.tokens[-1]
        logits = self.backbone.step(self.decoding, torch.tensor(tokens, device=self.backbone.device))
        constraints: list[Constraint | None] = [None] * len(tokens)
        for writing in self.live:
            constraints[writing.at] = writing.draft.constraint
        best = likeliest(logits, constraints)
        going, self.live = self.live, []
        yield from self._write(going, [best[writing.at] for writing in going])

    def _write(self, writings: list[_Writing], tokens: list[int]) -> Iterator[tuple[int, RawAnswer]]:
        """Add a token to each; finished ones are yielded, the others live on."""
        for writing, token in zip(writings, tokens, strict=True):
            if (answer := writing.draft.add(self.backbone, token, self.generation)) is None:
                self.live.append(writing)
            else:
                yield writing.row, answer
