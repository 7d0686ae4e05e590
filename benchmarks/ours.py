"""One training step of ours: forward and backward of all batches, gradients left in the source's tensors."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from benchmarks.rows import Batch
from benchmarks.timing import Step
from clinprompt.backbones.causal import CausalBackbone
from clinprompt.backbones.protocol import Placement
from clinprompt.prompts.source import PromptSource
from clinprompt.training.gang import batch_prompts


def prompt_step(
    backbone: CausalBackbone,
    source: PromptSource,
    batches: Sequence[Batch],
    *,
    placement: Placement = Placement.prefix,
    notes_once: bool = False,
) -> Step:
    """The mean answer loss of equally large batches and its gradient; ``notes_once`` keeps contexts between steps."""
    notes = backbone.note_cache() if notes_once else None

    def step() -> dict[str, Tensor]:
        for group in source.groups():
            group.tensor.grad = None
        total = torch.zeros((), device=backbone.device)
        for rows, members in batches:
            output = backbone.forward(rows, batch_prompts(source, members, placement), notes=notes)
            loss = torch.nn.functional.cross_entropy(output.logits, output.targets) / len(batches)
            loss.backward()
            total += loss.detach()
        return {"loss": total} | {group.name: group.tensor.grad for group in source.groups()}

    return step
