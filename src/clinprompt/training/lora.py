"""The LoRA baseline (arXiv 2106.09685), through peft."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from peft import LoraConfig, PeftModel, get_peft_model

from clinprompt.backbones.causal import CausalBackbone
from clinprompt.training.weights import WeightSource


@contextmanager
def low_rank(backbone: CausalBackbone, *, rank: int, alpha: float, targets: str, seed: int) -> Iterator[LoraSource]:
    """Attach fresh low-rank updates; on leaving they are taken off and the backbone is as it was.

    ``targets`` is ``all-linear`` or a comma-separated list of module names such as ``q_proj,v_proj``.
    """
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        modules = targets if targets == "all-linear" else targets.split(",")
        writes = backbone.model.get_output_embeddings() is not None
        config = LoraConfig(
            r=rank,
            lora_alpha=alpha,
            lora_dropout=0.0,
            target_modules=modules,
            task_type="CAUSAL_LM" if writes else "FEATURE_EXTRACTION",
        )
        with _known_warning_silenced():
            wrapped = get_peft_model(backbone.model, config)
    backbone.altered = True
    try:
        yield LoraSource(backbone, wrapped)
    finally:
        wrapped.unload()
        backbone.freeze()
        backbone.altered = False


class LoraSource(WeightSource):
    """The low-rank matrices attached to a backbone."""

    def __init__(self, backbone: CausalBackbone, wrapped: PeftModel) -> None:
        super().__init__(backbone)
        self.wrapped = wrapped

    def save(self, folder: Path) -> None:
        """Write an ordinary peft adapter folder."""
        folder.mkdir(parents=True, exist_ok=True)
        self.wrapped.save_pretrained(folder, safe_serialization=True)
        (folder / "README.md").unlink(missing_ok=True)


@contextmanager
def low_rank_applied(backbone: CausalBackbone, folder: Path) -> Iterator[None]:
    """The backbone with a saved adapter attached, for the length of a ``with``."""
    with _known_warning_silenced():
        wrapped = PeftModel.from_pretrained(backbone.model, str(folder), is_trainable=False)
    wrapped.eval()
    backbone.altered = True
    try:
        yield
    finally:
        wrapped.unload()
        backbone.freeze()
        backbone.altered = False


@contextmanager
def _known_warning_silenced() -> Iterator[None]:
    """peft 0.21 asks transformers 5.23 for a property under its old name: nothing a user could mend."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="`is_gradient_checkpointing` is deprecated", category=FutureWarning)
        yield
