"""What teachers say of the answers in training, computed once per row and kept within a budget of bytes.

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

import torch
from torch import Tensor

from clinprompt.backbones.note_cache import NoteCache
from clinprompt.backbones.protocol import Backbone, Output, Row
from clinprompt.maths.distillation import Softened, soften
from clinprompt.prompts.plain import PlainPrompts
from clinprompt.training.gang import Member, batch_prompts, epoch_order
from clinprompt.training.objectives import Distillation, Targets, teacher_losses

Taught = tuple[int, Row]
"""A teacher, by the first member that has it, and a row."""


class TeacherTargets:
    """Targets of the members' training rows; members with equal teachers share theirs.

    ``tokens_per_forward`` bounds the tokens that a teacher runs over at once, prompt vectors included.
    """

    def __init__(
        self,
        backbone: Backbone,
        members: Sequence[Member],
        distillation: Distillation,
        *,
        tokens_per_forward: int,
        notes: NoteCache | None = None,
    ) -> None:
        self.backbone, self.distillation, self.notes = backbone, distillation, notes
        self.source = PlainPrompts(distillation.teachers)
        found: dict[tuple[int, bytes], int] = {}
        contents = [(len(vectors), vectors.cpu().numpy().tobytes()) for vectors in self.source.folded()]
        self.teacher = [found.setdefault(content, n) for n, content in enumerate(contents)]
        blocks = self._blocks(members, tokens_per_forward)
        self.kept: dict[Taught, Targets] = {}
        self.recent: dict[Taught, Targets] = {}
        self.recent_step = -1
        self.block_of: dict[Taught, Sequence[Taught]] = {}
        if blocks:
            self.block_of = {taught: block for block in self._within_budget(blocks) for taught in block}

    def of(self, chunk: Sequence[tuple[int, Row]], *, step: int) -> Targets | None:
        """Targets of the chunk's answer tokens, row after row; ``None`` when no row's member has a teacher.

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

    def losses(self, chunk: Sequence[tuple[int, Row]], output: Output, targets: Targets | None) -> Tensor:
        """λ-weighted teacher terms of each answer token ``[A]``; ``targets`` are :meth:`of` the same chunk."""
        weights = [self.distillation.weights[n] for n, row in chunk for _ in row.answer]
        whole = torch.tensor(weights, dtype=output.logits.dtype, device=output.logits.device)
        if targets is None:
            return whole  # all of them zero
        logits, hidden = output.logits, output.hidden
        taught = [a for a, weight in enumerate(weights) if weight > 0]
        some = len(taught) < len(weights)
        if some:
            logits, hidden = logits[taught], None if hidden is None else hidden[taught]
        losses = teacher_losses(logits, hidden, _moved(targets, logits), temperature=self.distillation.temperature)
        if some:
            losses = torch.zeros_like(whole).index_copy(0, torch.tensor(taught, device=whole.device), losses)
        return whole * losses

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
        size = sum(part.nbytes for part in _parts(one)) / len(blocks[0][0][1].answer)  # bytes of an answer token
        ends = accumulate(sum(len(row.answer) for _, row in block) for block in blocks)
        return [block for block, end in zip(blocks, ends, strict=True) if end * size <= self.distillation.budget]

    @torch.no_grad()
    def _run(self, wanted: Sequence[Taught]) -> list[Targets]:
        """Targets row by row, in main memory."""
        output = self.backbone.forward(
            [row for _, row in wanted],
            batch_prompts(self.source, [teacher for teacher, _ in wanted], self.distillation.placement),
            hidden_layers=self.distillation.hidden_layers,
            notes=self.notes,
        )
        found = soften(output.logits, temperature=self.distillation.temperature, top_k=self.distillation.top_k)
        tokens = None if found.tokens is None else found.tokens.int()
        counts = [len(row.answer) for _, row in wanted]
        columns = [
            [None] * len(counts) if part is None else part.cpu().split(counts)
            for part in (found.kept, tokens, found.tail, output.hidden)
        ]
        return [Targets(Softened(*softened), hidden) for *softened, hidden in zip(*columns, strict=True)]


def _parts(targets: Targets) -> list[Tensor]:
    return [part for part in (*targets.softened.parts(), targets.hidden) if part is not None]


def _joined(targets: Sequence[Targets]) -> Targets:
    columns = zip(*((*item.softened.parts(), item.hidden) for item in targets), strict=True)
    *softened, hidden = (None if column[0] is None else torch.cat(column) for column in columns)
    return Targets(Softened(*softened), hidden)


def _moved(targets: Targets, like: Tensor) -> Targets:
    kept, tokens, tail = (None if part is None else part.to(like.device) for part in targets.softened.parts())
    hidden = None if targets.hidden is None else targets.hidden.to(like.device)
    return Targets(Softened(kept, None if tokens is None else tokens.long(), tail), hidden)
