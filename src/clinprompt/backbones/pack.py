"""Segments of tokens in one flat sequence: each sees its parent, the states it continues, and itself up to now."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from clinprompt.backbones.attention import SHORT, AttentionTerms, Trunk, attend

NEVER = 2**30
"""Position of padding keys: later than every query."""


@dataclass(frozen=True, slots=True)
class Segment:
    """A run of tokens: their ids, where prompt vectors stand among them, and what they follow.

    ``slots`` are pairs of an offset in ``ids`` and the number of the vector there. ``first`` is the position of the
    first token. ``parent`` is an earlier segment of the same pack, ``past`` the states ``[L, 2, heads, S, D]`` of
    tokens run before; a segment has at most one of the two.
    """

    ids: Sequence[int]
    first: int = 0
    slots: Sequence[tuple[int, int]] = ()
    parent: int | None = None
    past: Tensor | None = None


@dataclass
class _Group:
    """Segments of similar length as a rectangle of attention.

    ``query`` ``[B, T]`` and ``key`` ``[B, U]`` are places in the flat sequence, ``*_at`` the positions there.
    """

    query: Tensor
    query_at: Tensor
    key: Tensor
    key_at: Tensor
    causal: bool
    past: list[Tensor]
    past_at: Tensor | None
    stacked: Tensor | None = None
    seen: dict[tuple[str, int | None], Tensor | None] = field(default_factory=dict)

    def mask(self, window: int | None) -> Tensor | None:
        """Which own keys each query sees, bool ``[B, T, U]``; ``None`` where plain causal order says it all."""
        if self.causal and (window is None or window >= self.query.shape[1]):
            return None
        return self._kept("own", window, self.key_at)

    def trunk(self, layer: int, window: int | None) -> Trunk | None:
        """The states before the segments, padded to the longest."""
        if self.past_at is None:
            return None
        if self.stacked is None:
            self.stacked = stack_states(self.past).to(self.query.device)
        return Trunk(self.stacked[layer, 0], self.stacked[layer, 1], self._kept("past", window, self.past_at))

    def _kept(self, part: str, window: int | None, at: Tensor) -> Tensor | None:
        if (part, window) not in self.seen:
            mask = at[:, None, :] <= self.query_at[:, :, None]
            if window is not None:
                mask &= at[:, None, :] > self.query_at[:, :, None] - window
            self.seen[part, window] = None if bool(mask.all()) else mask
        return self.seen[part, window]


class Pack:
    """Segments laid one behind the other, with their attention.

    ``ids``, ``positions`` ``[N]``; ``slot`` and ``slot_vector`` ``[K]``: places of prompt vectors and their numbers;
    ``starts``: place of each segment's first token. With ``keep`` the keys and values of all layers are kept for
    :meth:`states`.
    """

    def __init__(self, segments: Sequence[Segment], *, keep: bool = False, device: torch.device | str = "cpu") -> None:
        self.segments, self.keep, self.device = list(segments), keep, torch.device(device)
        for i, segment in enumerate(self.segments):
            if segment.parent is not None and (segment.past or self.segments[segment.parent].past) is not None:
                raise ValueError(f"segment {i} follows kept states through its parent, which attention does not do")
        self.starts = [0]
        for segment in self.segments:
            self.starts.append(self.starts[-1] + len(segment.ids))
        ids = [token for segment in self.segments for token in segment.ids]
        self._positions = [segment.first + i for segment in self.segments for i in range(len(segment.ids))]
        slots = [
            (start + offset, vector)
            for segment, start in zip(self.segments, self.starts, strict=False)
            for offset, vector in segment.slots
        ]
        table = torch.tensor(slots, dtype=torch.long, device=device).reshape(-1, 2)
        self.ids, self.positions = torch.tensor(ids, device=device), torch.tensor(self._positions, device=device)
        self.slot, self.slot_vector = table[:, 0], table[:, 1]
        where = torch.zeros(self.starts[-1], dtype=torch.long)
        self.groups: list[_Group] = []
        offset = 0
        for chosen in self._similar():
            group, leads = self._group(chosen, device)
            self.groups.append(group)
            for i, lead in zip(chosen, leads, strict=True):
                where[self.starts[i] : self.starts[i + 1]] = torch.arange(
                    offset + lead, offset + lead + self._length(i)
                )
                offset += group.query.shape[1]
        self.where = where.to(device)  # place of each token's result in the groups' rectangles one behind the other
        self.kept: list[tuple[Tensor, Tensor]] = []

    def attend(self, query: Tensor, key: Tensor, value: Tensor, terms: AttentionTerms) -> Tensor:
        """Attention of all segments; see :class:`Layout`."""
        if self.keep:
            self.kept.append((key.to(value.dtype), value))  # autocast leaves rotated keys in single precision
        found = []
        for group in self.groups:
            rows = attend(
                _gathered(query, group.query),
                _gathered(key, group.key),
                _gathered(value, group.key),
                terms,
                seen=group.mask(terms.window),
                causal=group.causal,
                trunk=group.trunk(terms.layer, terms.window),
            )
            found.append(rows.flatten(0, 1))
        return torch.cat(found).index_select(0, self.where)

    def states(self, segment: int) -> Tensor:
        """Keys and values ``[L, 2, heads, S, D]`` of a segment of a pack that was run with ``keep``."""
        places = slice(self.starts[segment], self.starts[segment + 1])
        return torch.stack([torch.stack([key[places], value[places]]) for key, value in self.kept]).transpose(2, 3)

    def _similar(self) -> list[list[int]]:
        """Segments whose attention shares a rectangle: alike in size, and in how many of them continue one past."""
        found: dict[tuple[bool, int, int], list[list[int]]] = {}
        pasts: dict[int, list[int]] = {}
        for i, segment in enumerate(self.segments):
            if segment.past is None:
                found.setdefault((segment.parent is not None, 0, 1), []).append([i])
            else:
                pasts.setdefault(id(segment.past), []).append(i)
        for members in pasts.values():
            for sharers in _runs(members, self._length):
                found.setdefault((False, 1, len(sharers)), []).append(sharers)
        groups = []
        for bundles in found.values():
            for run in _runs(bundles, lambda bundle: self._size(bundle[-1])):
                # Sharers of one past stand side by side.
                groups += [[i for bundle in part for i in bundle] for part in _runs(run, self._longest)]
        return groups

    def _length(self, i: int) -> int:
        return len(self.segments[i].ids)

    def _longest(self, bundle: list[int]) -> int:
        return max(map(self._length, bundle))

    def _size(self, i: int) -> int:
        past = self.segments[i].past
        return len(self._chain(i)) if past is None else past.shape[3]

    def _chain(self, i: int) -> list[int]:
        """Places of the keys a segment sees in this pack: its parent's, then its own."""
        parent = self.segments[i].parent
        before = [] if parent is None else self._chain(parent)
        return before + list(range(self.starts[i], self.starts[i + 1]))

    def _group(self, chosen: list[int], device: torch.device | str) -> tuple[_Group, list[int]]:
        """A rectangle of attention, and where each segment's own queries begin in it."""
        keys = [self._chain(i) for i in chosen]
        leads = [len(line) - self._length(i) for line, i in zip(keys, chosen, strict=True)]
        # Long rows ask for their parents' tokens once more: plain causal order is worth more than these few queries.
        whole = max(map(len, keys)) > SHORT and all(len(k) >= 3 * lead for k, lead in zip(keys, leads, strict=True))
        leads = leads if whole else [0] * len(chosen)
        queries = keys if whole else [range(self.starts[i], self.starts[i + 1]) for i in chosen]
        pasts = [past for i in chosen if (past := self.segments[i].past) is not None]
        distinct = list({id(past): past for past in pasts}.values())
        past_at = _rectangle([range(past.shape[3]) for past in pasts], fill=NEVER) if pasts else None
        group = _Group(
            # A padding query repeats the last one: it sees what that one sees, so that no softmax is empty.
            query=_rectangle(queries, fill=None).to(device),
            query_at=_rectangle([self._at(line) for line in queries], fill=None).to(device),
            key=_rectangle(keys, fill=0).to(device),
            key_at=_rectangle([self._at(line) for line in keys], fill=NEVER).to(device),
            causal=whole or all(self.segments[i].parent is None for i in chosen),
            past=distinct,
            past_at=None if past_at is None else past_at.to(device),
        )
        return group, leads

    def _at(self, places: Sequence[int]) -> list[int]:
        return [self._positions[place] for place in places]


def _runs(items: Sequence[Any], size: Callable[[Any], int]) -> list[list[Any]]:
    """Items sorted by size, in runs whose largest is at most 16 or four tenths larger than the smallest."""
    runs: list[list[Any]] = []
    for item in sorted(items, key=size):
        if not runs or size(item) > max(size(runs[-1][0]) + 16, 1.4 * size(runs[-1][0])):
            runs.append([])
        runs[-1].append(item)
    return runs


def _gathered(flat: Tensor, places: Tensor) -> Tensor:
    """Entries ``[B, T, heads, D]`` of ``flat`` ``[N, heads, D]`` at places ``[B, T]``."""
    # Backwards this adds rows up; plain indexing would sort the places first.
    return flat.index_select(0, places.flatten()).unflatten(0, places.shape)


def stack_states(states: Sequence[Tensor]) -> Tensor:
    """States ``[L, 2, heads, S, D]`` of several token runs as ``[L, 2, B, heads, S, D]``, padded with zeros."""
    L, two, heads, _, D = states[0].shape
    S = max(state.shape[3] for state in states)
    stacked = states[0].new_empty(L, two, len(states), heads, S, D)
    for b, state in enumerate(states):
        stacked[:, :, b, :, : state.shape[3]] = state
        stacked[:, :, b, :, state.shape[3] :] = 0
    return stacked


def _rectangle(lines: Sequence[Sequence[int]], *, fill: int | None) -> Tensor:
    """Lines of different lengths as a tensor, filled up on the right, with their last value when ``fill`` is None."""
    longest = max(map(len, lines))
    return torch.tensor([[*line, *[line[-1] if fill is None else fill] * (longest - len(line))] for line in lines])
