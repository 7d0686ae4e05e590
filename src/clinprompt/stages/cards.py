"""Cards of finished prompts: filled from what the stage knows, with reference logits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import peft
import torch
import transformers
from torch import Tensor

from clinprompt import __version__
from clinprompt.backbones.protocol import Placement
from clinprompt.inference.reference import reference
from clinprompt.maths.decomposition import Shift
from clinprompt.prompts.card import Lineage, PromptCard
from clinprompt.stages.opened import Opened
from clinprompt.stages.prepared import Prepared


def prompt_card(
    opened: Opened,
    prepared: Prepared,
    *,
    method: str,
    vectors: Tensor,
    placement: str,
    trainable: int,
    run: str,
    seed: int,
    rank: int | None = None,
    shots: int | None = None,
    sources: Sequence[str] = (),
    heads: Mapping[str, Tensor] | None = None,
) -> PromptCard:
    """The card of one task's finished prompt ``[P, H]`` (or ``[L, P, H]``), with the ``heads`` of an encoder."""
    lineage = Lineage(
        data={prepared.task.name: prepared.digest},
        licences=(prepared.task.licence,) if prepared.task.licence else (),
        sources=tuple(sources),
        run=run,
        shots=shots,
        seed=seed,
    )
    return PromptCard(
        name=prepared.task.name,
        method=method,
        placement=placement,
        length=vectors.shape[-2],
        layers=vectors.shape[0] if vectors.ndim == 3 else 1,
        rank=rank,
        trainable=trainable,
        backbone=opened.identity,
        template=opened.template.name,
        template_hash=opened.template.hash,
        task=prepared.task,
        extent=prepared.extent,
        lineage=lineage,
        reference=reference(opened.backbone, vectors, Placement(placement), heads),
        made_with=versions(),
    )


def metaprompt_card(
    opened: Opened,
    prepared: Sequence[Prepared],
    *,
    vectors: Tensor,
    placement: str,
    rank: int | None,
    trainable: int,
    run: str,
    seed: int,
    shift: Shift = "product",
    heads: Mapping[str, Tensor] | None = None,
) -> PromptCard:
    """The card of a metaprompt ``[P, H]`` (or ``[L, P, H]``) and its sources' factors (no ``rank``: none).

    ``heads`` are those of an encoder.
    """
    return PromptCard(
        name="metaprompt",
        method="mpt",
        placement=placement,
        length=vectors.shape[-2],
        layers=vectors.shape[0] if vectors.ndim == 3 else 1,
        rank=rank,
        shift=shift,
        trainable=trainable,
        backbone=opened.identity,
        template=opened.template.name,
        template_hash=opened.template.hash,
        tasks=tuple(item.task.name for item in prepared),
        lineage=Lineage(
            data={item.task.name: item.digest for item in prepared},
            licences=tuple(sorted({item.task.licence for item in prepared if item.task.licence})),
            run=run,
            seed=seed,
        ),
        reference=reference(opened.backbone, vectors, Placement(placement), heads),
        made_with=versions(),
    )


def versions() -> dict[str, str]:
    """Versions of the libraries whose change could change a prompt's effect."""
    return {
        "clinprompt": __version__,
        "torch": torch.__version__,
        "transformers": transformers.__version__,
        "peft": peft.__version__,
    }
