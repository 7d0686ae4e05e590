"""Greedy answers, rows coming and going: a row is admitted as soon as others have made room."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from clinprompt.backbones.causal import CausalBackbone
from clinprompt.backbones.decoding import Decoding, Line
from clinprompt.backbones.protocol import Generation, RawAnswer

Start = Callable[[Sequence[int]], tuple[Tensor, list[Line]]]
"""Numbers of waiting rows to the logits ``[B, V]`` of their first tokens and their lines."""


@dataclass(slots=True)
class _Writing:
    """An answer so far; ``at`` is its place in the current layout."""

    row: int
    line: Line
    tokens: list[int] = field(default_factory=list)
    at: int = 0


class Greedy:
    """Writes the likeliest token again and again until an end token, a stop text or the limit."""

    def __init__(self, backbone: CausalBackbone, generation: Generation, *, rows: int = 64) -> None:
        self.backbone, self.generation, self.rows = backbone, generation, rows
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
        new = [_Writing(row, line) for row, line in zip(admitted, lines, strict=True)]
        yield from self._write(new, logits.argmax(dim=-1).tolist())

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
            tokens[writing.at] = writing.tokens[-1]
        logits = self.backbone.step(self.decoding, torch.tensor(tokens, device=self.backbone.device))
        best = logits.argmax(dim=-1).tolist()
        going, self.live = self.live, []
        yield from self._write(going, [best[writing.at] for writing in going])

    def _write(self, writings: list[_Writing], tokens: list[int]) -> Iterator[tuple[int, RawAnswer]]:
        """Add a token to each; finished ones are yielded, the others live on."""
        for writing, token in zip(writings, tokens, strict=True):
            writing.tokens.append(token)
            answer = finished(self.backbone, writing.tokens, self.generation)
            if answer is None:
                self.live.append(writing)
            else:
                yield writing.row, answer


def finished(backbone: CausalBackbone, tokens: Sequence[int], generation: Generation) -> RawAnswer | None:
    """The answer that these tokens are, or ``None`` while it goes on."""
    if tokens[-1] in backbone.stops:
        return RawAnswer(backbone.text(tokens[:-1]), len(tokens) - 1, truncated=False)
    if generation.stop:
        text = backbone.text(tokens)
        places = [place for stop in generation.stop if (place := text.find(stop)) >= 0]
        if places:
            return RawAnswer(text[: min(places)], len(tokens), truncated=False)
    if len(tokens) >= generation.tokens:
        return RawAnswer(backbone.text(tokens), len(tokens), truncated=True)
    return None
