"""Frozen weights in fewer bits: what can be chosen, which package does it, and how many bytes the weights take.

Two kinds are offered, one for each width. ``int8`` is torchao's weight-only kind: products run in the backbone's dtype.
Kinds that also round the activations are left out on purpose: torchao's gives a prompt gradient that is silently
zero, and bitsandbytes' 8-bit products pick outlier columns over the whole batch, so that an answer would depend on its
neighbours. ``nf4`` is bitsandbytes' 4-bit NormalFloat (Dettmers et al. 2023).

Only linear layers become smaller. The experts of gpt-oss are no linear layers: they stay in the dtype. Its published
files hold them in MXFP4, whose products have no backward pass (they run in Triton kernels outside autograd), so they
are always turned into the dtype when they are read, and prompt gradients pass.
"""

from __future__ import annotations

import math
from importlib.util import find_spec
from typing import Any

import torch

from clinprompt.errors import InputError

WEIGHTS = {"full": "", "int8": "torchao", "nf4": "bitsandbytes"}
"""What the weights can be kept in, and the package that this needs: ``full`` is the dtype itself."""

_NF4_BLOCK = 64
"""Weights that share one float32 scale in bitsandbytes' 4-bit layout."""

INSTALL = "install the extra that reads quantised weights: pip install 'clinprompt[quantised]'"
"""What to do when a package for quantised weights is missing."""


def quantisation(weights: str, config: Any, *, dtype: torch.dtype, where: str) -> Any:
    """What transformers needs to load a network of ``config`` with such weights; ``None`` for nothing special.

    Raises :class:`InputError` as :func:`check_weights` does, and when the package that it needs is not installed.
    """
    check_weights(weights, config, where=where)
    if stored_method(config) == "mxfp4":
        from transformers import Mxfp4Config

        return Mxfp4Config(dequantize=True)
    package = WEIGHTS[weights]
    if package and find_spec(package) is None:
        raise InputError(f"weights in {weights} need the package {package}, which is not installed", fix=INSTALL)
    if weights == "int8":
        from torchao.quantization import Int8WeightOnlyConfig
        from transformers import TorchAoConfig

        return TorchAoConfig(Int8WeightOnlyConfig())
    if weights == "nf4":
        from transformers import BitsAndBytesConfig

        return BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_compute_dtype=dtype)
    return None


def check_weights(weights: str, config: Any, *, where: str) -> None:
    """Raise :class:`InputError` for an unknown kind, and for files whose weights are quantised already."""
    if weights not in WEIGHTS:
        raise InputError(f"there is no kind of weights named {weights!r}", allowed=", ".join(WEIGHTS))
    stored = stored_method(config)
    if stored and weights != "full":
        raise InputError(
            f"the weights of this backbone are quantised already ({stored}), they cannot be turned into {weights}",
            where=where,
            allowed="weights full",
            fix="take the backbone as it is, or an unquantised copy",
        )


def stored_method(config: Any) -> str:
    """How the files of a network are quantised (``mxfp4``, ``gptq`` …), empty when they are not."""
    found = getattr(config, "quantization_config", None) or {}
    return str(found.get("quant_method", "") if isinstance(found, dict) else getattr(found, "quant_method", ""))


def keep_backward(model: Any) -> Any:
    """Keep 4-bit layers in the layout that has a backward pass.

    On processors with 16-bit matrix products bitsandbytes would turn them, for good, into a layout for prediction only,
    as soon as one forward runs without gradients: reading a note once would end the training.
    """
    for module in model.modules():
        if hasattr(module, "support_avx512bf16_for_cpu"):
            module.support_avx512bf16_for_cpu = False
    return model


def weight_bytes(model: Any, *, weights: str, dtype: torch.dtype) -> int:
    """Bytes of a network's weights in memory; ``model`` may be on the meta device, where no weight exists.

    ``int8``: a byte per weight of a linear layer, and per row of it a float32 scale and a byte of offset. ``nf4``: half
    a byte per weight, a float32 scale per 64 of them, and a table of 16 float32 numbers per layer. The output head and
    all that is no linear layer keep ``dtype``.
    """
    small = [] if weights == "full" else linear_weights(model)
    left = {id(weight) for weight in small}
    total = sum(weight.numel() * dtype.itemsize for weight in model.parameters() if id(weight) not in left)
    for weight in small:
        rows, count = weight.shape[0], weight.numel()
        if weights == "int8":
            total += count + rows * (4 + 1)
        else:
            total += math.ceil(count / 2) + 4 * math.ceil(count / _NF4_BLOCK) + 16 * 4
    return total


def linear_weights(model: Any) -> list[Any]:
    """The weights that are quantised: of all linear layers but the output head."""
    head = model.get_output_embeddings()
    return [module.weight for module in model.modules() if isinstance(module, torch.nn.Linear) and module is not head]
