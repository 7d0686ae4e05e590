import pytest
import torch

from clinprompt.prompts.bank import PromptBank
from clinprompt.prompts.card import BackboneIdentity, PromptCard, Reference
from clinprompt.prompts.prompt_file import SoftPrompt, save_prompt
from clinprompt.tasks.catalog import load_task


@pytest.fixture
def bank(tmp_path):
    return PromptBank(tmp_path / "bank")


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


@pytest.fixture
def prompt_file(tmp_path, card, vectors):
    """Writes a prompt file whose vectors are the usual ones plus a number, its card with these changes."""

    def write(name="medications", *, plus=0.0, **changes):
        path = tmp_path / "files" / f"{name}-{plus}.safetensors"
        save_prompt(path, SoftPrompt(vectors + plus, card.model_copy(update={"name": name, **changes})))
        return path

    return write
