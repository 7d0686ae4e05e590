"""The first layers of a pretrained encoder as encoders of their own, and one of the same shape with random weights.

For comparisons by size (``recipes/reading-sizes.yaml``) where only one pretrained encoder is at hand:

    python -m benchmarks.cut_encoder ENCODER encoders --layers 2 4 6 --seed 1
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import torch
from transformers import AutoConfig, AutoModel, AutoTokenizer, PreTrainedModel


def shortened(model: PreTrainedModel, layers: int) -> PreTrainedModel:
    """The same model with its first ``layers`` layers.

    Raises:
        ValueError: The model has fewer layers, or keeps them elsewhere than BERT does.
    """
    stack = getattr(getattr(model, "encoder", None), "layer", None)
    if stack is None:
        raise ValueError(f"a {model.config.model_type} keeps its layers elsewhere than BERT does")
    if not 1 <= layers <= len(stack):
        raise ValueError(f"{layers} layers of {len(stack)}: ask for 1 to {len(stack)}")
    model.encoder.layer = stack[:layers]
    model.config.num_hidden_layers = layers
    return model


def random_like(source: Path, *, seed: int) -> PreTrainedModel:
    """A model of the shape of the one in ``source`` whose weights were drawn anew."""
    torch.manual_seed(seed)
    return AutoModel.from_config(AutoConfig.from_pretrained(source, local_files_only=True))


def write(model: PreTrainedModel, source: Path, folder: Path) -> None:
    """The model in ``folder``, with the tokenizer of ``source``."""
    model.save_pretrained(folder)
    AutoTokenizer.from_pretrained(source, local_files_only=True).save_pretrained(folder)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("encoder", type=Path, help="folder of a pretrained BERT or relative")
    parser.add_argument("out", type=Path, help="folder for the shortened ones")
    parser.add_argument("--layers", type=int, nargs="+", default=[2, 4, 6])
    parser.add_argument("--seed", type=int, default=1)
    chosen = parser.parse_args(arguments)
    for layers in chosen.layers:
        model = AutoModel.from_pretrained(chosen.encoder, local_files_only=True, add_pooling_layer=False)
        write(shortened(model, layers), chosen.encoder, chosen.out / f"layers-{layers}")
        print(f"{layers} layers: {model.num_parameters():,} parameters")
    model = random_like(chosen.encoder, seed=chosen.seed)
    write(model, chosen.encoder, chosen.out / f"random-{model.config.num_hidden_layers}")


if __name__ == "__main__":
    main()
