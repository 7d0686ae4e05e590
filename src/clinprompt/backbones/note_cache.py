"""Read the note once: keys and values of what stands before a suffix prompt, kept while prompts are trained.

With the prompt placed after the input, nothing the prompt does reaches back to the input: on a frozen backbone its
keys and values are the same in every step, for every prompt, and no gradient flows into them. A training step then
runs, forwards and backwards, over prompt and answer only, exactly as if all had been run.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from transformers import DynamicCache

from clinprompt.backbones.protocol import Row

Context = tuple[int, ...]
Prefill = Callable[[Sequence[Context]], list[Tensor]]
"""Contexts to their states, each ``[L, 2, heads, T, head width]``."""


class NoteCache:
    """States of contexts by their tokens, the least recently used dropped first when ``budget`` bytes are full.

    It belongs to one training run of one frozen backbone and must not outlive a change of its weights.
    """

    def __init__(self, prefill: Prefill, *, budget: int = 2 * 1024**3) -> None:
        self.prefill, self.budget = prefill, budget
        self.kept: OrderedDict[Context, Tensor] = OrderedDict()
        self.bytes = 0

    def states(self, contexts: Sequence[Context]) -> list[Tensor]:
        """The states of these contexts, computed for those that are not kept."""
        missing = sorted({context for context in contexts if context not in self.kept}, key=len)
        found = dict(zip(missing, self.prefill(missing), strict=True)) if missing else {}
        answer = []
        for context in contexts:
            if context in found:
                answer.append(found[context])
            else:
                self.kept.move_to_end(context)
                answer.append(self.kept[context])
        for context, states in found.items():
            self._keep(context, states)
        return answer

    def _keep(self, context: Context, states: Tensor) -> None:
        self.kept[context] = states
        self.bytes += states.nbytes
        while self.bytes > self.budget and self.kept:
            _, dropped = self.kept.popitem(last=False)
            self.bytes -= dropped.nbytes


@dataclass(frozen=True, slots=True)
class Tail:
    """What follows the contexts of a batch: ``[suffix prompt] cue | answer``, right-padded to ``T`` columns.

    ``mask`` ``[B, 1, T, S + T]`` is true where a position may look: its own row's context, not the padding behind
    it, and what stands before it in the tail. ``answer_*`` and ``targets`` are as in a causal batch.
    """

    ids: Tensor
    mask: Tensor
    positions: Tensor
    answer_row: Tensor
    answer_column: Tensor
    targets: Tensor


def collate_tails(rows: Sequence[Row], lengths: Tensor, *, prompt_length: int, pad: int) -> Tail:
    """Lay out the tails behind contexts of ``lengths`` ``[B]`` tokens; the prompt has the first columns."""
    lines = [[pad] * prompt_length + list(row.cue) + list(row.answer[:-1]) for row in rows]
    B, T, S = len(rows), max(map(len, lines)), int(lengths.max())
    ids = torch.tensor([line + [pad] * (T - len(line)) for line in lines])
    column = torch.arange(T)
    seen = torch.arange(S)[None, :] < lengths[:, None]  # [B, S]
    mask = torch.cat([seen[:, None, :].expand(B, T, S), (column[None, :] <= column[:, None]).expand(B, T, T)], dim=2)
    answer_row, answer_column, targets = [], [], []
    for b, (row, line) in enumerate(zip(rows, lines, strict=True)):
        answer_row += [b] * len(row.answer)
        answer_column += range(len(line) - len(row.answer), len(line))
        targets += row.answer
    return Tail(
        ids=ids,
        mask=mask[:, None],
        positions=lengths[:, None] + column[None, :],
        answer_row=torch.tensor(answer_row),
        answer_column=torch.tensor(answer_column),
        targets=torch.tensor(targets),
    )


def as_cache(states: Sequence[Tensor]) -> DynamicCache:
    """States of several contexts, right-padded to the longest, as a fresh transformers cache of the batch."""
    S = max(state.shape[3] for state in states)
    padded = torch.stack([torch.nn.functional.pad(state, (0, 0, 0, S - state.shape[3])) for state in states])
    cache = DynamicCache()
    for layer in range(padded.shape[1]):
        cache.update(padded[:, layer, 0], padded[:, layer, 1], layer)
    return cache


def as_states(cache: DynamicCache, lengths: Sequence[int]) -> list[Tensor]:
    """The rows of a right-padded batch's cache, each cut to its own length."""
    stacked = torch.stack([torch.stack([layer.keys, layer.values]) for layer in cache.layers])  # [L, 2, B, h, S, w]
    return [stacked[:, :, b, :, :length].clone() for b, length in enumerate(lengths)]
