"""Read the note once: keys and values of what stands before a suffix prompt, kept while prompts are trained.

With the prompt placed after the input, nothing the prompt does reaches back to the input: on a frozen backbone its
keys and values are the same in every step, for every prompt, and no gradient flows into them. A training step then
runs, forwards and backwards, over prompt and answer only, exactly as if all had been run.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence

from torch import Tensor

Context = tuple[int, ...]
Prefill = Callable[[Sequence[Context]], list[Tensor]]
"""Contexts to their states, each ``[L, 2, heads, S, D]``."""


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
