"""Answers written side by side, one token each per step, however many notes and prompts they stand on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from clinprompt.backbones.attention import AttentionTerms, Trunk, attend
from clinprompt.backbones.pack import stack_states

ROOM = 32
"""Tokens by which the room for written tokens grows."""


@dataclass(slots=True)
class Line:
    """An answer being written: the states ``[L, 2, heads, S, D]`` it shares with others, and those of its own."""

    trunk: Tensor
    own: Tensor

    @property
    def position(self) -> int:
        """Position of its next token."""
        return self.trunk.shape[3] + self.own.shape[3]


@dataclass(slots=True)
class _Bundle:
    """Lines ``first`` to ``end``, equally many on each trunk; ``trunks`` ``[L, 2, G, heads, S, D]`` are stacked."""

    first: int
    end: int
    trunks: Tensor
    lengths: Tensor


class Decoding:
    """Lines in step: the layout of one new token for each.

    A trunk that several lines stand on is stored once. ``order`` says where each of the lines given has gone: lines
    with a common trunk stand side by side.
    """

    def __init__(self, lines: Sequence[Line], *, device: torch.device | str = "cpu") -> None:
        self.device = torch.device(device)
        sharers: dict[int, list[int]] = {}
        for i, line in enumerate(lines):
            sharers.setdefault(id(line.trunk), []).append(i)
        by_count: dict[int, list[list[int]]] = {}
        for members in sharers.values():
            by_count.setdefault(len(members), []).append(members)
        self.order = [i for bundles in by_count.values() for members in bundles for i in members]
        self.lines = [lines[i] for i in self.order]
        self.bundles: list[_Bundle] = []
        at = 0
        for count, bundles in by_count.items():
            trunks = [lines[members[0]].trunk for members in bundles]
            lengths = torch.tensor([trunk.shape[3] for trunk in trunks for _ in range(count)], device=device)
            end = at + count * len(bundles)
            self.bundles.append(_Bundle(at, end, stack_states(trunks).to(device), lengths))
            at = end
        own = [line.own for line in self.lines]
        self.written = torch.tensor([states.shape[3] for states in own], device=device)  # [B]
        self.first = torch.tensor([line.trunk.shape[3] for line in self.lines], device=device)
        self.own = stack_states(own).to(device)  # [L, 2, B, heads, U, D]
        self.rows = torch.arange(len(self.lines), device=device)

    @property
    def positions(self) -> Tensor:
        """Positions ``[B]`` of the tokens of the next step."""
        return self.first + self.written

    def prepare(self) -> None:
        """Make room for the tokens of the next step."""
        if int(self.written.max()) >= self.own.shape[4]:
            self.own = torch.nn.functional.pad(self.own, (0, 0, 0, ROOM))

    def attend(self, query: Tensor, key: Tensor, value: Tensor, terms: AttentionTerms) -> Tensor:
        """Attention of one new token per line; see :class:`Layout`."""
        keys, values = self.own[terms.layer, 0], self.own[terms.layer, 1]  # [B, heads, U, D]
        keys[self.rows, :, self.written] = key.to(keys.dtype)
        values[self.rows, :, self.written] = value.to(values.dtype)
        U = int(self.written.max()) + 1
        column = torch.arange(U, device=query.device)
        seen = column <= self.written[:, None]
        if terms.window is not None:
            seen &= column > self.written[:, None] - terms.window
        found = []
        for bundle in self.bundles:
            chosen = slice(bundle.first, bundle.end)
            found.append(
                attend(
                    query[chosen, None],
                    keys[chosen, :, :U].transpose(1, 2),
                    values[chosen, :, :U].transpose(1, 2),
                    terms,
                    seen=seen[chosen, None],
                    trunk=self._trunk(bundle, terms),
                )
            )
        return torch.cat(found)[:, 0]

    def advance(self) -> None:
        """Count the tokens of the step that was run."""
        self.written = self.written + 1

    def reorder(self, source: Tensor) -> None:
        """Let each line go on from what line ``source[b]``, which stands on the same trunk, has written."""
        self.own, self.written = self.own.index_select(2, source), self.written[source]

    def line(self, b: int) -> Line:
        """A line as it stands now, by its number in this layout."""
        return Line(self.lines[b].trunk, self.own[:, :, b, :, : int(self.written[b])].clone())

    def _trunk(self, bundle: _Bundle, terms: AttentionTerms) -> Trunk | None:
        S = bundle.trunks.shape[4]
        column = torch.arange(S, device=bundle.trunks.device)
        seen = column < bundle.lengths[:, None]
        if terms.window is not None:
            seen &= column > self.positions[bundle.first : bundle.end, None] - terms.window
        mask = None if bool(seen.all()) else seen[:, None]
        return Trunk(bundle.trunks[terms.layer, 0], bundle.trunks[terms.layer, 1], mask)
