import pytest
import torch

from clinprompt.prompts.card import BackboneIdentity, PromptCard, Reference
from clinprompt.tasks.catalog import load_task


@pytest.fixture
def identity():
    return BackboneIdentity(name="tiny", fingerprint="f" * 16, tokenizer="t" * 16, hidden=6)


@pytest.fixture
def card(identity):
    return PromptCard(
        name="medications",
        method="mpt",
        placement="suffix",
        length=4,
        rank=2,
        trainable=24,
        backbone=identity,
        template="markers",
        template_hash="0" * 16,
        task=load_task("medications"),
        tasks=("medications", "impression"),
        reference=Reference(tokens=(3, 1), with_prompt=(0.5, 0.25), without_prompt=(0.5, -1.0)),
    )


@pytest.fixture
def vectors():
    return torch.randn(4, 6, generator=torch.Generator().manual_seed(0))
