"""Random prompts with whole cards, for any backbone: vectors of the size of its embeddings."""

from __future__ import annotations

from pathlib import Path

import torch

from clinprompt.backbones.protocol import Placement
from clinprompt.inference.reference import reference
from clinprompt.maths.decomposition import TaskFactors
from clinprompt.prompts.card import PromptCard
from clinprompt.prompts.prompt_file import Metaprompt, SoftPrompt, save_metaprompt, save_prompt
from clinprompt.stages.opened import Opened
from clinprompt.tasks.catalog import load_task


def card_for(opened: Opened, vectors, *, name: str, placement: str, **more) -> PromptCard:
    """A card that says of these vectors what `clinprompt adapt` would."""
    return PromptCard(
        name=name,
        placement=placement,
        length=len(vectors),
        trainable=vectors.numel(),
        backbone=opened.identity,
        template=opened.template.name,
        template_hash=opened.template.hash,
        reference=reference(opened.backbone, vectors, Placement(placement)),
        **({"method": "prompt-tuning"} | more),
    )


def random_vectors(opened: Opened, *, length: int, seed: int):
    """Vectors ``[P, H]`` as large as the embeddings."""
    size = (length, opened.backbone.hidden_size)
    return torch.randn(size, generator=torch.Generator().manual_seed(seed)) * float(opened.backbone.embeddings.std())


def write_random_prompt(
    path: Path, opened: Opened, *, task: str, placement: str, length: int = 5, seed: int = 0
) -> Path:
    """A prompt file for a task of the catalogue."""
    vectors = random_vectors(opened, length=length, seed=seed)
    card = card_for(opened, vectors, name=task, placement=placement, task=load_task(task))
    save_prompt(path, SoftPrompt(vectors, card))
    return path


def write_random_metaprompt(
    path: Path, opened: Opened, *, placement: str = "prefix", ranks=(1, 2), length: int = 4
) -> Path:
    """A metaprompt file with the factors of two tasks, of different ranks."""
    vectors = random_vectors(opened, length=length, seed=5)
    draw = torch.Generator().manual_seed(6)
    tasks = ("medications", "impression")
    factors = {
        name: TaskFactors(
            torch.randn(length, rank, generator=draw), torch.randn(rank, vectors.shape[1], generator=draw)
        )
        for name, rank in zip(tasks, ranks, strict=True)
    }
    card = card_for(opened, vectors, name="metaprompt", placement=placement, tasks=tasks, method="mpt", rank=max(ranks))
    save_metaprompt(path, Metaprompt(vectors, factors, card))
    return path
