"""What teachers say in training, computed once per row and kept within a budget of bytes.

A teacher does not change, so neither does what it says. Two things must hold beside that. A run that was interrupted
must go on with the same numbers to the last bit, although it finds nothing kept; products on a batch may differ in
their last bits when the batch has other rows in it. And a budget that is too small must not make things worse than no
budget. So rows are put into blocks of their members' first epoch before anything runs, the first blocks that fit are
the ones kept, each run as a whole when its first row is needed, and every other row is run with its chunk of a step.
Keeping the least recently used instead would keep next to nothing: epochs come back to a row when all others have been.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate
from typing import Any, Generic, Protocol, Self, TypeVar

import torch
from torch import Tensor

from clinprompt.backbones.note_cache import NoteCache
from clinprompt.backbones.protocol import Backbone, Row
from clinprompt.prompts.source import FoldableSource
from clinprompt.training.gang import Member, batch_prompts, epoch_order

Taught = tuple[int, Row]
"""A teacher, by the first member that has it, and a row."""


class Parts(Protocol):
    """A record of tensors whose first dimension counts what a teacher speaks of, some of them perhaps missing."""

    def parts(self) -> tuple[Tensor | None, ...]:
        """The tensors in a fixed order."""
        ...

    @classmethod
    def of_parts(cls, parts: Sequence[Tensor | None]) -> Self:
        """The record of these tensors."""
        ...


Record = TypeVar("Record", bound=Parts)


class KeptTargets(Generic[Record]):
    """Targets of the members' training rows; members with equal teachers share theirs.

    ``source`` holds the teachers, one per member. ``tokens_per_forward`` bounds the tokens that a teacher runs over at
    once, prompt vectors included.
    """

    def __init__(
        self,
        backbone: Backbone,
        members: Sequence[Member],
        distillation: Any,
        source: FoldableSource,
        *,
        tokens_per_forward: int,
        notes: NoteCache | None = None,
    ) -> None:
        self.backbone, self.distillation, self.source, self.notes = backbone, distillation, source, notes
        found: dict[tuple[Any, ...], int] = {}
        self.teacher = [found.setdefault(content, n) for n, content in enumerate(_contents(source))]
        blocks = self._blocks(members, tokens_per_forward)
        self.kept: dict[Taught, Record] = {}
        self.recent: dict[Taught, Record] = {}
        self.recent_step = -1
        self.block_of: dict[Taught, Sequence[Taught]] = {}
        if blocks:
            self.block_of = {taught: block for block in self._within_budget(blocks) for taught in block}

    def of(self, chunk: Sequence[tuple[int, Row]], *, step: int) -> Record | None:
        """Targets of the chunk, row after row; ``None`` when no row's member has a teacher.

        Within one ``step`` no row is run twice, whether it is kept or not.
        """
        wanted = [(self.teacher[n], row) for n, row in chunk if self.distillation.weights[n] > 0]
        if not wanted:
            return None
        for taught in wanted:
            if taught in self.block_of and taught not in self.kept:
                block = self.block_of[taught]
                self.kept.update(zip(block, self._run(block), strict=True))
        known = self.recent if step == self.recent_step else {}
        loose = [taught for taught in dict.fromkeys(wanted) if taught not in self.kept]
        new = [taught for taught in loose if taught not in known]
        known = {taught: known[taught] for taught in loose if taught in known}
        self.recent = known | (dict(zip(new, self._run(new), strict=True)) if new else {})
        self.recent_step = step
        return _joined([self.kept.get(taught) or self.recent[taught] for taught in wanted])

    def losses(self, chunk: Sequence[tuple[int, Row]], output: Any, targets: Record | None) -> Tensor:
        """λ-weighted teacher terms, one for each of the output's losses; ``targets`` are :meth:`of` the same chunk."""
        raise NotImplementedError

    def _size(self, row: Row) -> int:
        """Of how many things a teacher speaks in this row."""
        raise NotImplementedError

    def _records(self, output: Any, rows: Sequence[Row]) -> list[Record]:
        """A teacher's output row by row, in main memory."""
        raise NotImplementedError

    @torch.no_grad()
    def _run(self, wanted: Sequence[Taught]) -> list[Record]:
        rows = [row for _, row in wanted]
        output = self.backbone.forward(
            rows,
            batch_prompts(self.source, [teacher for teacher, _ in wanted], self.distillation.placement),
            hidden_layers=self.distillation.hidden_layers,
            notes=self.notes,
        )
        return self._records(output, rows)

    def _blocks(self, members: Sequence[Member], tokens: int) -> list[list[Taught]]:
        """Rows that are drawn one after the other in a first epoch, every member's earliest before any later ones."""
        seen: set[Taught] = set()
        blocks: list[tuple[int, list[Taught]]] = []
        for n, member in enumerate(members):
            if not self.distillation.weights[n] > 0:
                continue
            length, used, place = self.source.lengths[self.teacher[n]], tokens, -1
            for i in epoch_order(len(member.rows), member.seed, 0):
                taught = (self.teacher[n], member.rows[i])
                if taught in seen:
                    continue
                seen.add(taught)
                used += member.rows[i].length + length
                if used > tokens:
                    used, place = member.rows[i].length + length, place + 1
                    blocks.append((place, []))
                blocks[-1][1].append(taught)
        return [block for _, block in sorted(blocks, key=lambda found: found[0])]

    def _within_budget(self, blocks: list[list[Taught]]) -> list[list[Taught]]:
        [one] = self._run(blocks[0][:1])
        each = sum(part.nbytes for part in one.parts() if part is not None) / max(1, self._size(blocks[0][0][1]))
        ends = accumulate(sum(self._size(row) for _, row in block) for block in blocks)
        return [block for block, end in zip(blocks, ends, strict=True) if end * each <= self.distillation.budget]


def _contents(source: FoldableSource) -> list[tuple[Any, ...]]:
    """What each teacher is made of, equal for equal teachers."""
    found = []
    for n, vectors in enumerate(source.folded()):
        heads = source.heads(torch.tensor([n]))
        tensors = [vectors, *(heads[name].detach() for name in sorted(heads))]
        found.append(tuple((tuple(tensor.shape), tensor.cpu().numpy().tobytes()) for tensor in tensors))
    return found


def _joined(records: Sequence[Record]) -> Record:
    columns = zip(*(record.parts() for record in records), strict=True)
    return type(records[0]).of_parts([None if column[0] is None else torch.cat(column) for column in columns])
