"""Answers written side by side, one token each per step, however many notes and prompts they stand on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import pad

from clinprompt.backbones.attention import AttentionTerms, Trunk, attend
from clinprompt.backbones.pack import stack_states

ROOM = 32
"""Tokens by which the room for written tokens grows."""

MOST = 12
"""Bundles that are always allowed; each costs some calls per layer."""

SPREAD = 2
"""How many times as much as needed the padding of trunks of different lengths may make of them."""


@dataclass(slots=True)
class Line:
    """An answer being written: the states ``[L, 2, heads, S, D]`` it shares with others, and those of its own."""

    trunk: Tensor
    own: Tensor


@dataclass(slots=True)
class _Bundle:
    """Lines ``first`` to ``end``, equally many on each trunk; ``trunks`` ``[L, 2, G, heads, S, D]`` are stacked."""

    first: int
    end: int
    trunks: Tensor
    lengths: Tensor

    @property
    def sharers(self) -> int:
        """How many lines stand on each trunk."""
        return (self.end - self.first) // self.trunks.shape[2]


class Decoding:
    """Lines in step: the layout of one new token for each.

    A trunk that several lines stand on is stored once. ``order`` says where each of the lines given has gone: lines
    with a common trunk stand side by side.
    """

    def __init__(self, lines: Sequence[Line], *, device: torch.device | str = "cpu") -> None:
        self.device = torch.device(device)
        self.lines: list[Line] = []
        self.bundles: list[_Bundle] = []
        self.count: list[int] = []
        self.seen: dict[int | None, Tensor | None] = {}
        self.trunk_seen: dict[tuple[int, int | None], Tensor | None] = {}
        self.order = self._lay(lines)
        self.bundled = len(self.bundles)
        self.own = stack_states([line.own for line in self.lines]).to(device)  # [L, 2, B or more, heads, U, D]

    def add(self, lines: Sequence[Line]) -> list[int]:
        """Let more lines go on from the next step; returns the place of each.

        What stands there already is copied only now and then: there is room for as many lines again, and trunks are
        stacked with others when about as many have come (so each is copied a logarithmic number of times).
        """
        at, order = len(self.lines), self._lay(lines)
        new = [line.own for line in self.lines[at:]]
        needed = max(states.shape[3] for states in new)
        L, two, room, heads, U, D = self.own.shape
        if len(self.lines) > room or needed > U:
            grown = self.own.new_zeros(L, two, max(room, 2 * len(self.lines)), heads, max(U, needed), D)
            grown[:, :, :at, :, :U] = self.own[:, :, :at]
            self.own = grown
        for b, states in enumerate(new, at):
            self.own[:, :, b, :, : states.shape[3]] = states
            self.own[:, :, b, :, states.shape[3] :] = 0
        while len(self.bundles) > 1 and _alike(*self.bundles[-2:]):
            self.bundles[-2:] = [_joined(*self.bundles[-2:])]
        self.trunk_seen = {}
        places = {i: at + place for place, i in enumerate(order)}
        return [places[i] for i in range(len(lines))]

    def _lay(self, lines: Sequence[Line]) -> list[int]:
        """Take lines up, those with a common trunk side by side; returns their numbers in the order of places."""
        sharers: dict[int, list[int]] = {}
        for i, line in enumerate(lines):
            sharers.setdefault(id(line.trunk), []).append(i)
        length = lambda members: lines[members[0]].trunk.shape[3]  # noqa: E731
        bundles: list[list[list[int]]] = []
        for members in sorted(sharers.values(), key=lambda members: (len(members), length(members))):
            alike = bundles and len(bundles[-1][0]) == len(members)
            if not alike or length(members) > SPREAD * (length(bundles[-1][0]) + ROOM):
                bundles.append([])
            bundles[-1].append(members)
        order = [i for bundle in bundles for members in bundle for i in members]
        at = len(self.lines)
        for bundle in bundles:
            count, trunks = len(bundle[0]), [lines[members[0]].trunk for members in bundle]
            lengths = torch.tensor([trunk.shape[3] for trunk in trunks for _ in range(count)], device=self.device)
            end = at + count * len(bundle)
            self.bundles.append(_Bundle(at, end, stack_states(trunks).to(self.device), lengths))
            at = end
        new = [lines[i] for i in order]
        self.lines += new
        self.count += [line.own.shape[3] for line in new]
        self.written = torch.tensor(self.count, device=self.device)  # [B]
        self.first = torch.tensor([line.trunk.shape[3] for line in self.lines], device=self.device)
        self.rows = torch.arange(len(self.lines), device=self.device)
        return order

    @property
    def scattered(self) -> bool:
        """Whether so many lines have joined one by one that it is time to lay all out anew."""
        return len(self.bundles) > max(MOST, 2 * self.bundled)

    @property
    def positions(self) -> Tensor:
        """Positions ``[B]`` of the tokens of the next step."""
        return self.first + self.written

    def prepare(self) -> None:
        """Make room for the tokens of the next step."""
        if max(self.count) >= self.own.shape[4]:
            self.own = pad(self.own, (0, 0, 0, ROOM))
        self.seen = {}
        self.trunk_seen = {key: mask for key, mask in self.trunk_seen.items() if key[1] is None}

    def attend(self, query: Tensor, key: Tensor, value: Tensor, terms: AttentionTerms) -> Tensor:
        """Attention of one new token per line; see :class:`Layout`."""
        keys, values = self.own[terms.layer, 0], self.own[terms.layer, 1]  # [B, heads, U, D]
        level = self.level
        for kept, new in ((keys, key), (values, value)):
            if level:
                kept[: len(self.lines), :, self.count[0]] = new
            else:
                kept[self.rows, :, self.written] = new.to(kept.dtype)
        seen = self._seen(terms.window)
        U = max(self.count) + 1
        found = []
        for i, bundle in enumerate(self.bundles):
            chosen = slice(bundle.first, bundle.end)
            trunk = Trunk(bundle.trunks[terms.layer, 0], bundle.trunks[terms.layer, 1], self._seen_of(i, terms.window))
            found.append(
                attend(
                    query[chosen, None],
                    keys[chosen, :, :U].transpose(1, 2),
                    values[chosen, :, :U].transpose(1, 2),
                    terms,
                    seen=None if seen is None else seen[chosen, None],
                    trunk=trunk,
                )
            )
        return (torch.cat(found) if len(found) > 1 else found[0])[:, 0]

    def advance(self) -> None:
        """Count the tokens of the step that was run."""
        self.written = self.written + 1
        self.count = [count + 1 for count in self.count]

    def reorder(self, source: Sequence[int]) -> None:
        """Let each line go on from what line ``source[b]``, which stands on the same trunk, has written."""
        chosen = torch.tensor(source, device=self.device)
        self.own, self.written = self.own.index_select(2, chosen), self.written[chosen]
        self.count = [self.count[b] for b in source]

    def line(self, b: int) -> Line:
        """A line as it stands now, by its number in this layout."""
        return Line(self.lines[b].trunk, self.own[:, :, b, :, : self.count[b]].clone())

    @property
    def level(self) -> bool:
        """Whether all lines have written equally many tokens."""
        return min(self.count) == max(self.count)

    def _seen(self, window: int | None) -> Tensor | None:
        """Which of their own tokens, the new one included, the lines see now: bool ``[B, U]``, ``None`` for all."""
        if window not in self.seen:
            if self.level and (window is None or self.count[0] < window):
                self.seen[window] = None
                return None
            column = torch.arange(max(self.count) + 1, device=self.device)
            mask = column <= self.written[:, None]
            if window is not None:
                mask &= column > self.written[:, None] - window
            self.seen[window] = mask
        return self.seen[window]

    def _seen_of(self, i: int, window: int | None) -> Tensor | None:
        """Which tokens of its trunks bundle ``i`` sees: bool ``[B, 1, S]``, ``None`` for all."""
        if (i, window) not in self.trunk_seen:
            bundle = self.bundles[i]
            column = torch.arange(bundle.trunks.shape[4], device=self.device)
            mask = column < bundle.lengths[:, None]
            if window is not None:
                mask &= column > self.positions[bundle.first : bundle.end, None] - window
            self.trunk_seen[i, window] = None if bool(mask.all()) else mask[:, None]
        return self.trunk_seen[i, window]


def _alike(one: _Bundle, other: _Bundle) -> bool:
    """Whether two neighbours are to be one: not where much would be padding, or the first is copied each time."""
    first, second = (bundle.trunks.shape[2] * bundle.trunks.shape[4] for bundle in (one, other))
    longest = max(one.trunks.shape[4], other.trunks.shape[4])
    together = longest * (one.trunks.shape[2] + other.trunks.shape[2])
    return one.sharers == other.sharers and first <= 2 * second and together <= SPREAD * (first + second)


def _joined(one: _Bundle, other: _Bundle) -> _Bundle:
    """Two neighbouring bundles as one."""
    S = max(one.trunks.shape[4], other.trunks.shape[4])
    both = [pad(bundle.trunks, (0, 0, 0, S - bundle.trunks.shape[4])) for bundle in (one, other)]
    return _Bundle(one.first, other.end, torch.cat(both, dim=2), torch.cat([one.lengths, other.lengths]))
