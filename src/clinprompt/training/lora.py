"""The LoRA baseline (arXiv 2106.09685), through peft."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch
from peft import LoraConfig, PeftModel, get_peft_model

from clinprompt.backbones.causal import CausalBackbone
from clinprompt.errors import InputError
from clinprompt.training.weights import WeightSource


@dataclass(frozen=True, slots=True)
class LoraSize:
    """Which matrices get an update of which rank, in all layers (``None``) or in so many of the last ones.

    ``targets`` is ``all-linear`` or a comma-separated list of module names such as ``q_proj,v_proj``.
    """

    rank: int
    targets: str = "all-linear"
    layers: int | None = None


def size_within(backbone: CausalBackbone, *, numbers: int, targets: str) -> LoraSize:
    """The largest update of at most so many numbers: the highest rank, below rank 1 the most of the last layers.

    Of rank r it has r (m + n) numbers for a matrix of m × n. Raises :class:`InputError` when not even one layer fits.
    """
    with low_rank(backbone, LoraSize(1, targets), alpha=1.0, seed=0) as source:
        named = [(name.split("."), one.numel()) for name, one in source.wrapped.named_parameters() if one.requires_grad]
    modules = sorted({parts[parts.index("lora_A") - 1] for parts, _ in named if "lora_A" in parts})
    of_layer = Counter[int]()
    for parts, count in named:
        of_layer[int(next(part for part in parts if part.isdecimal()))] += count
    rank = numbers // of_layer.total()
    if rank:
        return LoraSize(rank, targets)
    left, layers = numbers, 0
    for layer in sorted(of_layer, reverse=True):
        left -= of_layer[layer]
        if left < 0:
            break
        layers += 1
    if not layers:
        smallest = min(of_layer.values())
        raise InputError(
            f"LoRA of rank 1 on one layer has {smallest} numbers, which is more than the prompt's {numbers}",
            where=f"targets: {targets}",
            fix=f"name fewer modules (of {', '.join(modules)}), or give a `rank`",
        )
    return LoraSize(1, ",".join(modules), layers)


@contextmanager
def low_rank(backbone: CausalBackbone, size: LoraSize, *, alpha: float, seed: int) -> Iterator[LoraSource]:
    """Attach fresh low-rank updates; on leaving they are taken off and the backbone is as it was."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        writes = backbone.model.get_output_embeddings() is not None
        all_layers = backbone.n_layers
        config = LoraConfig(
            r=size.rank,
            lora_alpha=alpha,
            lora_dropout=0.0,
            target_modules=size.targets if size.targets == "all-linear" else size.targets.split(","),
            layers_to_transform=size.layers and list(range(all_layers - size.layers, all_layers)),
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
