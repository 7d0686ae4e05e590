"""Answers written side by side, a token each per step: rows join and leave between steps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from clinprompt.backbones.causal import CausalBackbone
from clinprompt.backbones.decoding import Decoding, Line
from clinprompt.backbones.rectangle import Rectangle, Seat
from clinprompt.inference.draft import Draft
from clinprompt.inference.sampling import chances, choose


@dataclass(slots=True, eq=False)
class _Row:
    """A draft with what it is written on; ``at`` is its place in the current layout of lines."""

    draft: Draft
    line: Line | Seat
    at: int = 0


class Writing:
    """Writes one token after the other into any number of drafts until each is over.

    Which token comes next looks at that row alone, so that no answer depends on its neighbours. A row that cannot go
    on is taken out with its draft ``failed``; the others go on.
    """

    def __init__(self, backbone: CausalBackbone) -> None:
        self.backbone, self.device = backbone, backbone.device
        self.rows: list[_Row] = []
        self.laid: list[_Row] = []
        self.decoding: Decoding | None = None

    def join(self, drafts: Sequence[Draft], logits: Tensor, lines: Sequence[Line | Seat]) -> list[Draft]:
        """Begin drafts with the logits ``[B, V]`` of their first tokens; returns them."""
        rows = [_Row(draft, line) for draft, line in zip(drafts, lines, strict=True)]
        self.rows += rows
        self._write(rows, logits)
        going = [row for row in rows if not row.draft.over]
        beside = [row.line for row in going if isinstance(row.line, Line)]
        if self.decoding is not None and beside:
            try:
                for row, at in zip(going, self.decoding.add(beside), strict=True):
                    row.at = at
                self.laid += going
            except torch.OutOfMemoryError:
                self._pause()
            if self.decoding is not None and self.decoding.scattered:
                self._pause()
        return list(drafts)

    def leave(self, draft: Draft) -> None:
        """Stop writing a draft."""
        self.rows = [row for row in self.rows if row.draft is not draft]

    def step(self) -> list[Draft]:
        """Add a token to every draft; those that are over leave. Returns all that were there."""
        drafts = [row.draft for row in self.rows]
        lines = [row for row in self.rows if isinstance(row.line, Line)]
        if lines:
            self._step_lines(lines)
        rectangles: dict[int, list[_Row]] = {}
        for row in self.rows:
            if isinstance(row.line, Seat):
                rectangles.setdefault(id(row.line.rectangle), []).append(row)
        for seated in rectangles.values():
            self._step_seats(seated)
        return drafts

    def _pause(self) -> None:
        """Take the lines out of the layout; the next step makes a new one."""
        if self.decoding is not None:
            for row in self.laid:
                if not row.draft.over:
                    row.line = self.decoding.line(row.at)
            self.decoding, self.laid = None, []

    def _step_lines(self, rows: list[_Row]) -> None:
        if self.decoding is not None and len(rows) <= len(self.decoding.lines) // 2:
            self._pause()  # rows that left are carried along until half of them have
        try:
            if self.decoding is None:
                self.decoding = Decoding([row.line for row in rows if isinstance(row.line, Line)], device=self.device)
                self.laid = list(rows)
                for at, i in enumerate(self.decoding.order):
                    rows[i].at = at
            tokens = [self.backbone.pad] * len(self.decoding.lines)
            for row in rows:
                tokens[row.at] = row.draft.tokens[-1]
            logits = self.backbone.step(self.decoding, torch.tensor(tokens, device=self.device))
        except Exception as error:
            if len(rows) == 1:
                self._fail(rows, error)
                return
            # Whose fault it was shows when each goes on alone; what the step began to write is written over.
            for row in rows:
                self._pause()
                self._step_lines([row])
            self._pause()
            return
        rows = sorted(rows, key=lambda row: row.at)
        self._write(rows, logits if len(rows) == len(tokens) else logits[[row.at for row in rows]])

    def _step_seats(self, rows: list[_Row]) -> None:
        seats = [row.line for row in rows if isinstance(row.line, Seat)]
        rectangle: Rectangle = seats[0].rectangle
        tokens = [self.backbone.eos] * rectangle.size
        for row, seat in zip(rows, seats, strict=True):
            tokens[seat.at] = row.draft.tokens[-1]
        try:
            logits = rectangle.step(torch.tensor(tokens, device=self.device))
        except Exception as error:  # a cache that a step has half filled cannot be gone on with by any of the rows
            self._fail(rows, error)
            return
        self._write(rows, logits[[seat.at for seat in seats]])

    def _write(self, rows: list[_Row], logits: Tensor) -> None:
        """Add the next token to each; those that are over leave."""
        drafts = [row.draft for row in rows]
        try:
            tokens = choose(logits, drafts)
        except Exception as error:
            if len(rows) == 1:
                self._fail(rows, error)
                return
            for b, row in enumerate(rows):
                self._write([row], logits[b : b + 1])
            return
        for draft, token, chance in zip(drafts, tokens, chances(logits, tokens, drafts), strict=True):
            try:
                draft.add(self.backbone, token, chance)
            except Exception as error:
                draft.failed = error
        self.rows = [row for row in self.rows if not row.draft.over]

    def _fail(self, rows: list[_Row], error: Exception) -> None:
        """Take rows out; an accelerator that has failed fails everything after it too, so that is raised."""
        if isinstance(error, torch.AcceleratorError):
            raise error
        for row in rows:
            row.draft.failed = error
        self.rows = [row for row in self.rows if not row.draft.over]
