"""Read the note once: keys and values of what stands before a suffix prompt, kept while prompts are trained or used.

With the prompt placed after the input, nothing the prompt does reaches back to the input: on a frozen backbone its
keys and values are the same in every step, for every prompt, and no gradient flows into them. A training step then
runs, forwards and backwards, over prompt and answer only, exactly as if all had been run.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from clinprompt.backbones.protocol import Row
from clinprompt.backbones.state_store import StateStore, content_key

Context = tuple[int, ...]
Prefill = Callable[[Sequence[Context]], list[Tensor]]
"""Contexts to their states, each ``[L, 2, heads, S, D]``."""


class NoteCache:
    """States of contexts by a hash of their tokens and of ``identity``: backbone, dtype and library versions.

    It belongs to one state of the backbone's weights and must not outlive a change of them. Contexts are run one by
    one, because the last bits of what a batch gives depend on the neighbours, and a training run that resumes, or
    finds states of another run in a folder, would have had others; ``together`` runs them in batches, which is faster,
    and only as far as other tasks' rows may share them: a note is run once whatever is asked about it.
    """

    def __init__(self, prefill: Prefill, *, identity: str, store: StateStore, together: bool = False) -> None:
        self.prefill, self.identity, self.store = prefill, identity, store
        self.together, self.shared = together and store.folder is None, together

    def part(self, row: Row) -> Context:
        """How much of a row's context is kept."""
        return row.trunk if self.shared else row.context

    def kept(self, context: Context) -> Tensor | None:
        """The states of a context, if they are kept."""
        return self.store.get(self._key(context))

    def keep(self, context: Context, states: Tensor) -> None:
        """Keep the states of a context that were computed elsewhere."""
        self.store.put(self._key(context), states)

    def _key(self, context: Context) -> str:
        return content_key(self.identity, torch.tensor(context))

    def states(self, contexts: Sequence[Context]) -> list[Tensor]:
        """The states of these contexts, computed for those that are not kept; equal contexts share a tensor."""
        keys = {context: self._key(context) for context in contexts}
        found = {context: self.store.get(key) for context, key in keys.items()}
        missing = sorted((context for context, states in found.items() if states is None), key=len)
        for batch in [missing] if self.together and missing else [[context] for context in missing]:
            for context, states in zip(batch, self.prefill(batch), strict=True):
                found[context] = states
                self.store.put(keys[context], states)
        return [states for context in contexts if (states := found[context]) is not None]
